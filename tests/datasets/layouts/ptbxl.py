from ptbxl_folder import write_ptbxl

RECORDS, PATIENTS = 20, 19


def write(folder):
    return {"root": str(write_ptbxl(folder))}
