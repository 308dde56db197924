"""What the scripts of test/gpu/ ask of the machine they run on, and how they run tfrun. Standard library alone."""

import json
import os
import subprocess
import sys


def fail(message):
    """One line and status 2, as of a wrong call."""
    print(f"{os.path.basename(sys.argv[0])}: error: {message}", file=sys.stderr)
    sys.exit(2)


def read_cases(bundle):
    path = os.path.join(bundle, "cases.json")
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        fail(f"{path}: {error}; this folder was not made by test/gpu/pack.sh")


def query(device, what):
    """What nvidia-smi says of a device cuda:N; empty where there is none."""
    number = device.partition(":")[2] or "0"
    try:
        run = subprocess.run(["nvidia-smi", "-i", number, "--query-gpu=" + what, "--format=csv,noheader"],
                             capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return run.stdout.strip()


def cpu_name():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            return next(line.partition(":")[2].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return "CPU"


def name_of(device):
    if device == "cpu":
        return f"{cpu_name()}, {os.cpu_count()} cores"
    return query(device, "name,driver_version") or device


def archs_of(device):
    """The architectures of this bundle that the device runs, the one for it last: kernels of sm_90a run on 9.0 alone."""
    if device == "cpu":
        return ["cpu"]
    return ["sm_80", "sm_90a"] if query(device, "compute_cap") == "9.0" else ["sm_80"]


def artifacts(folder, name, device):
    """(architecture, path) of each that was packed and runs here."""
    paths = [(arch, os.path.join(folder, f"{name}.{arch}.tfa")) for arch in archs_of(device)]
    return [(arch, path) for arch, path in paths if os.path.isdir(path)]


def command_of(program, artifact, device, arguments):
    """The command line of tfrun, with random weights for an artifact without any."""
    command = [program, artifact, "--device=" + device, "-q", *arguments]
    if device == "cpu":
        command.append("--threads=1")
    if not os.path.exists(os.path.join(artifact, "weights.safetensors")):
        command.append("--random-weights=1")
    return command


def tfrun(program, artifact, device, arguments):
    """(stdout, None) or (None, the error in one line)."""
    command = command_of(program, artifact, device, arguments)
    try:
        run = subprocess.run(command, capture_output=True, text=True, timeout=900)
    except subprocess.TimeoutExpired:
        return None, "tfrun was not done after 900 s"
    except OSError as error:
        return None, f"cannot run tfrun: {error}"
    if run.returncode:
        lines = run.stderr.strip().splitlines()
        return None, lines[-1] if lines else f"tfrun ended with status {run.returncode}"
    return run.stdout, None
