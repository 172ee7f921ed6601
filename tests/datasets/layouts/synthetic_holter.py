#: Two windows of each class of a recording: ten hold N, four S and four V.
RECORDS, PATIENTS = 36, 10


def write(folder):
    return {"seconds": 5.0, "per_record": 2, "seed": 1}
