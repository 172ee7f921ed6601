"""One tiny fixture per dataset, in its published layout: `layouts/NAME.py` with

write(folder) -> the constructor's options, e.g. {"root": str(folder)}
RECORDS, PATIENTS: how many rows and patients its table then has
"""
