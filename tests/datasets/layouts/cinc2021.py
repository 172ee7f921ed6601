from layouts._challenge import told, write_challenge

#: record -> source, rate, samples, comments.
ROWS = {
    "A0001": ("cpsc_2018", 500, 7500, told(74, "Male", "59118001,426783006")),
    "Q0001": ("cpsc_2018_extra", 500, 5000, told(53, "Male", "164867002,427084000")),
    "I0001": ("st_petersburg_incart", 257, 5140, told(65, "Female", "427393009")),
    "I0002": ("st_petersburg_incart", 257, 5140, told(65, "Female", "426627000")),
    "S0001": ("ptb", 1000, 12000, told(81, "Female", "426783006")),
    "HR00001": ("ptb-xl", 500, 5000, told(300, "Female", "251146004,426783006")),
    "E00001": ("georgia", 500, 4000, told("NaN", "Female", "426783006")),
    "E00002": ("georgia", 500, 5000, told(70, "Male", "733534002,63593006,17338001", "# ")),
    "JS10646": ("chapman_shaoxing", 500, 5000, told(85, "Male", "164889003")),
    "JS10647": ("ningbo", 500, 5000, told(84, "Female", "425856008", "# ")),
}
RECORDS, PATIENTS = 10, 10


def write(folder):
    for record, (source, fs, length, comments) in ROWS.items():
        write_challenge(folder / "training" / source / "g1" / record, comments, fs, length)
    return {"root": str(folder)}


def write_flat(folder):
    for record, (_, fs, length, comments) in ROWS.items():
        write_challenge(folder / record, comments, fs, length)
    return {"root": str(folder)}
