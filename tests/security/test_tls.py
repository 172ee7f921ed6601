"""gRPC with TLS: two nodes run a task, and whoever has no certificate of the cluster's authority is not spoken to."""

import datetime as dt
import ipaddress
import json
import os
import shutil
import subprocess
import sys
import tempfile

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

# In a process of its own, with the environment that SECURITY.md names; argv: the environment of a client of another authority.
TWO_NODES = """
import json, os, socket, ssl, sys, time
import ray
from ray._private import ray_constants
ray_constants.ENABLE_RAY_CLUSTER = False  # 127.0.0.1 stays 127.0.0.1, which the certificate names
from ray.cluster_utils import Cluster
from clef_ray.cluster import session as module
from clef_ray.errors import ClefRayError

node = {"num_cpus": 1, "node_ip_address": "127.0.0.1"}
cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": True, "dashboard_host": "127.0.0.1"})
cluster.add_node(**node)
cluster.wait_for_nodes(2)
found = {}

@ray.remote(num_cpus=1)
def here():
    time.sleep(1)
    return ray.get_runtime_context().get_node_id()

with module.session(cluster.address):
    found["nodes"] = len({*ray.get([here.remote() for _ in range(2)])})

host, port = cluster.address.split(":")

def greeted(*certificate):
    # What the server answers to an HTTP/2 preface; a client's certificate is judged after the handshake (TLS 1.3).
    context = ssl.create_default_context(cafile=os.environ["RAY_TLS_CA_CERT"])
    context.set_alpn_protocols(["h2"])
    if certificate:
        context.load_cert_chain(*certificate)
    try:
        with context.wrap_socket(socket.create_connection((host, int(port))), server_hostname=host) as asking:
            asking.sendall(b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]))
            return len(asking.recv(64)) > 0
    except (ssl.SSLError, ConnectionError):
        return False

foreign = json.loads(sys.argv[1])
found["ours"] = greeted(os.environ["RAY_TLS_SERVER_CERT"], os.environ["RAY_TLS_SERVER_KEY"])
found["none"] = greeted()
found["foreign"] = greeted(foreign["RAY_TLS_SERVER_CERT"], foreign["RAY_TLS_SERVER_KEY"])

def refused(environment):
    os.environ.update(environment)
    try:
        module._require_answer(cluster.address)
    except ClefRayError as error:
        return str(error)

module.ANSWER_TIMEOUT = 5.0  # Ray's client asks for ever
found["said"] = [refused({"RAY_USE_TLS": "0"}), refused(foreign)]
cluster.shutdown()
print(json.dumps(found))
"""


def name(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(subject, key, issuer, signing, *, ca):
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if not ca:
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
    return builder.sign(signing, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def authority(folder):
    """A new authority with one certificate for every node; what Ray is told of it."""
    folder.mkdir()
    root, node = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    (folder / "ca.crt").write_bytes(certificate(folder.name, root, folder.name, root, ca=True))
    (folder / "node.crt").write_bytes(certificate("node", node, folder.name, root, ca=False))
    (folder / "node.key").write_bytes(
        node.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    files = {"CA_CERT": "ca.crt", "SERVER_CERT": "node.crt", "SERVER_KEY": "node.key"}
    return {"RAY_USE_TLS": "1"} | {f"RAY_TLS_{key}": str(folder / file) for key, file in files.items()}


@pytest.mark.ray
@pytest.mark.slow
def test_two_nodes_talk_by_tls_and_to_nobody_else(tmp_path):
    short = tempfile.mkdtemp(prefix="clef", dir="/tmp")  # for Ray's sockets
    dropped = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS")
    env = {k: v for k, v in os.environ.items() if k not in dropped} | authority(tmp_path / "ours")
    env |= {"RAY_TMPDIR": short, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0"}
    env |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "7" * 64}
    foreign = json.dumps(authority(tmp_path / "theirs"))
    try:
        done = subprocess.run(
            [sys.executable, "-c", TWO_NODES, foreign], env=env, capture_output=True, text=True, timeout=300, check=False
        )  # fmt: skip
    finally:
        shutil.rmtree(short, ignore_errors=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["nodes"] == 2, "a task ran on each"
    assert (found["ours"], found["none"], found["foreign"]) == (True, False, False)
    plain, foreign = found["said"]
    assert "encrypts, and RAY_USE_TLS is not set here" in plain
    assert "does not trust these RAY_TLS_* certificates" in foreign
    assert all(".github/SECURITY.md" in said for said in found["said"])
