"""The layout of the Challenges; `write_original` is that of CPSC 2018 itself."""

import scipy.io

from layouts._challenge import samples, told, write_challenge

#: record -> samples, comments, and the numbers of the same classes in REFERENCE.csv.
ROWS = {
    "A0001": (5000, told(74, "Male", "59118001"), (5, "", "")),
    "A0002": (7500, told(49, "Female", "426783006"), (1, "", "")),
    "A0003": (3000, told("NaN", "Male", "164884008,164931005"), (7, 9, "")),
    "A0004": (5000, told(61, "Female", "164889003,429622005,733534002"), (2, 8, 4)),
}
RECORDS, PATIENTS = 4, 4


def write(folder):
    for i, (record, (length, comments, _)) in enumerate(ROWS.items()):
        write_challenge(folder / f"g{i // 2 + 1}" / record, comments, length=length)
    return {"root": str(folder)}


def write_original(folder):
    lines = ["Recording,First_label,Second_label,Third_label"]
    for i, (record, (length, comments, numbers)) in enumerate(ROWS.items()):
        age, sex = (line.partition(": ")[2] for line in comments[:2])
        path = folder / f"TrainingSet{i % 3 + 1}" / f"{record}.mat"
        path.parent.mkdir(parents=True, exist_ok=True)
        ecg = {"sex": sex, "age": float(age), "data": samples(record, length) / 1000}
        scipy.io.savemat(path, {"ECG": ecg}, do_compression=True)
        lines.append(",".join([record, *map(str, numbers)]))
    (folder / "REFERENCE.csv").write_text("\n".join([*lines, ""]))
    return {"root": str(folder)}
