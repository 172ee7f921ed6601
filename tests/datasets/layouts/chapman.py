from layouts._challenge import told, write_challenge

#: record -> comments: both styles, commas with nothing between and at the end, a repeated code, an age that cannot be, nobody's sex.
ROWS = {
    "JS00001": told(85, "Male", "164889003,59118001,164934002"),
    "JS00002": told(59, "Female", "426177001,,164934002,"),
    "JS00003": told("NaN", "Female", "426783006,426783006", "# "),
    "JS00004": told(300, "Unknown", "39732003,270492004", "# "),
    "JS00005": told(40, "Male", "251146004"),
}
RECORDS, PATIENTS = 5, 5


def write(folder):
    for record, comments in ROWS.items():
        write_challenge(folder / "WFDBRecords" / "01" / "010" / record, comments)
    (folder / "ConditionNames_SNOMED-CT.csv").write_text(
        "Acronym Name,Full Name,Snomed_CT\nSR,Sinus Rhythm,426783006\n"
    )
    return {"root": str(folder)}
