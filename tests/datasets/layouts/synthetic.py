RECORDS, PATIENTS = 13, 12


def write(folder):
    return {"patients": PATIENTS, "seed": 1}
