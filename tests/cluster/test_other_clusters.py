"""The cluster files for on-premise machines and Kubernetes, and the scripts that set up a node."""

import copy
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nowt.cli.main import main
from nowt.cluster.checks import cluster_problems
from nowt.cluster.cluster_file import load_documents, read_cluster
from nowt.cluster.kuberay import external_objects, kuberay_problems

ROOT = Path(__file__).parents[2]

CLUSTERS = ROOT / "platform" / "clusters"

KUBERAY = CLUSTERS / "kuberay"


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_the_on_premise_file_passes() -> None:
    assert cluster_problems(read_cluster(CLUSTERS / "on_premise" / "cluster.yaml")) == []


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("    RAY_enable_autoscaler_v2=0\n", "", "Ray's newer autoscaler starts no local worker"),
        ("[10.0.0.2, 10.0.0.3]", "[10.0.0.1, 10.0.0.2]", "worker_ips contains the head, 10.0.0.1"),
        ("  worker_ips:", "  workers_ips:", "Please supply a `head_ip` and list of `worker_ips`"),
        ("  type: local", "  type: local\n  region: here", "provider.region is not a key of Ray"),
    ],
)
def test_each_mistake_in_the_on_premise_file_is_reported(old: str, new: str, message: str, tmp_path: Path) -> None:
    text = (CLUSTERS / "on_premise" / "cluster.yaml").read_text()
    assert old in text
    (tmp_path / "cluster.yaml").write_text(text.replace(old, new))
    problems = cluster_problems(read_cluster(tmp_path / "cluster.yaml"))
    assert any(message in problem for problem in problems), problems


def test_the_firewall_names_every_port_that_the_start_commands_fix() -> None:
    given = read_cluster(CLUSTERS / "on_premise" / "cluster.yaml").config
    starts = given["head_start_ray_commands"][1] + given["worker_start_ray_commands"][1]
    ports = {int(port) for port in re.findall(r"port=(\d+)", starts)}
    (named,) = re.findall(r"define PORTS = \{(.*?)\}", (CLUSTERS / "on_premise" / "firewall.nft").read_text())
    closed = [range(int(part.split("-")[0]), int(part.split("-")[-1]) + 1) for part in named.split(",")]
    assert len(ports) == 11 and all(any(port in part for part in closed) for port in ports)


# Two hosts in one network. The first has the firewall and listens on one of Ray's ports, an ephemeral port and another
# port. The second has an address of the cluster and one outside. The script prints which address reaches which port.
NETWORK = """
set -eu
ip link set lo up
unshare --net sleep 60 & peer=$!
sleep 0.2
ip link add here type veth peer name there netns $peer
ip addr add 10.0.0.1/24 dev here; ip link set here up
nsenter --net=/proc/$peer/ns/net sh -c 'ip addr add 10.0.0.2/24 dev there; ip addr add 10.0.0.9/24 dev there
ip link set there up'
nft -f "$1"; nft -f "$1"
"$2" -c '
import socket, time
sockets = [socket.create_server(("0.0.0.0", port)) for port in (44217, 40000, 8000)]
time.sleep(30)' & listeners=$!
nsenter --net=/proc/$peer/ns/net "$2" -c '
import socket, time
listener = socket.create_server(("10.0.0.9", 8000))
time.sleep(30)' & stranger=$!
sleep 0.7
nsenter --net=/proc/$peer/ns/net "$2" -c '
import socket
for source in ("10.0.0.2", "10.0.0.9"):
    for port in (44217, 40000, 8000):
        try:
            socket.create_connection(("10.0.0.1", port), timeout=1, source_address=(source, 0)).close()
            print(source, port, "reached")
        except OSError:
            print(source, port, "closed")'
"$2" -c '
import socket
socket.create_connection(("10.0.0.9", 8000), timeout=1).close()
print("reached a host outside the cluster")'
kill $listeners $stranger $peer
"""


def test_the_firewall_closes_the_ports_of_ray_to_other_hosts_and_leaves_the_rest_open() -> None:
    if os.geteuid() != 0 or not all(map(shutil.which, ("nft", "ip", "unshare", "nsenter"))):
        pytest.skip("needs root, and Debian's nftables, iproute2 and util-linux")
    inside = ["unshare", "--net", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", NETWORK, "sh"]
    command = [*inside, str(CLUSTERS / "on_premise" / "firewall.nft"), sys.executable]
    completed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if completed.returncode != 0 and "ot permitted" in completed.stderr:
        pytest.skip(f"network namespaces are not available: {completed.stderr.strip()}")
    ports = ("44217", "closed"), ("40000", "closed"), ("8000", "reached")
    member, stranger = [f"10.0.0.2 {port} reached" for port, _ in ports], [f"10.0.0.9 {' '.join(p)}" for p in ports]
    assert completed.stdout.splitlines() == [*member, *stranger, "reached a host outside the cluster"], completed.stderr


SHIM = """#!{python}
import os, sys
from pathlib import Path
with open({log!r}, "a") as file:
    file.write(" ".join(sys.argv) + "\\n")
"""

PYTHON = "pip = Path(sys.argv[-1]) / 'bin' / 'pip'\npip.parent.mkdir(parents=True)\nos.symlink(sys.argv[0], pip)\n"

AWS = (
    "if sys.argv[2] == 'ls':\n    print('2026-11-01 10:00:00 12 my images.tar')\n"
    "if sys.argv[2] == 'cp':\n    sys.stdout.buffer.write(Path({tar!r}).read_bytes())\n"
)


def test_the_setup_of_a_node_runs_only_once(tmp_path: Path) -> None:
    home, tools, log = tmp_path / "home", tmp_path / "bin", tmp_path / "log"
    (home / ".ray").mkdir(parents=True)
    (home / ".ray" / "auth_token").write_text("t")
    (home / ".bashrc").write_text("# the user's own\n")
    (tmp_path / "train").mkdir()
    subprocess.run(["tar", "-cf", tmp_path / "data.tar", "-C", tmp_path, "train"], check=True)
    tools.mkdir()
    head = SHIM.format(python=sys.executable, log=str(log))
    texts = {"python3.11": f"{head}if 'venv' in sys.argv:\n" + "".join(f"    {line}\n" for line in PYTHON.splitlines())}
    texts |= {"aws": head + AWS.format(tar=str(tmp_path / "data.tar")), "mountpoint": "#!/bin/sh\nexit 1\n"}
    for name, text in texts.items():
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    environment = {"HOME": str(home), "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}"}
    command = ["bash", str(CLUSTERS / "aws" / "node.sh"), "s3://lab-images"]
    for _ in range(2):
        subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60)
    output = log.read_text()
    assert output.count("-m venv") == output.count("-r ") == output.count("s3 sync") == output.count("s3 cp") == 1
    assert "s3 cp --only-show-errors s3://lab-images/data/my images.tar -" in output and "requirements.lock" in output
    assert (home / "data" / "train").is_dir()  # unpacked
    assert (home / ".bashrc").read_text().splitlines()[1:] == ["# the user's own"]
    assert (home / ".ray" / "auth_token").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", ["cluster", "job"])
def test_the_kuberay_files_pass(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    documents = load_documents(KUBERAY / f"{name}.yaml")
    assert kuberay_problems(documents) == []
    assert external_objects(documents) == ["PersistentVolumeClaim nowt-data", "PersistentVolumeClaim nowt-store"]
    main(["doctor", "--cluster", str(KUBERAY / f"{name}.yaml")])
    message = capsys.readouterr().out
    assert (
        f"ok       {KUBERAY / f'{name}.yaml'}" in message and "must contain: PersistentVolumeClaim nowt-data" in message
    )


def test_cluster_and_job_describe_the_same_ray_and_the_network_policy_finds_its_pods() -> None:
    (cluster,), (job,) = load_documents(KUBERAY / "cluster.yaml"), load_documents(KUBERAY / "job.yaml")
    assert job["spec"]["rayClusterSpec"] == cluster["spec"]
    (policy,) = load_documents(KUBERAY / "network.yaml")
    wanted = policy["spec"]["podSelector"]["matchLabels"]
    for group in (cluster["spec"]["headGroupSpec"], *cluster["spec"]["workerGroupSpecs"]):
        assert group["template"]["metadata"]["labels"] == wanted


def spec(job: dict[str, Any]) -> dict[str, Any]:
    inside: dict[str, Any] = job["spec"]["rayClusterSpec"]
    return inside


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda j: j["spec"].update(submissionMode="HTTPmode"), "did you mean HTTPMode?"),
        (lambda j: j["spec"].update(shutdownAfterJobFinishes=False), "ttlSecondsAfterFinished needs"),
        (lambda j: j["spec"].update(runtimeEnvYAML="a: ["), "runtimeEnvYAML is not valid YAML"),
        (lambda j: spec(j).update(rayVersion="2.9.0"), "rayVersion is 2.9.0: the image has"),
        (lambda j: spec(j).update(rayVersion="2.9.0"), "needs rayVersion 2.52.0 or newer"),
        (lambda j: spec(j).pop("authOptions"), "authOptions.mode must be token"),
        (lambda j: spec(j)["workerGroupSpecs"][0].update(minReplicas=9), "group gpu: minReplicas is 9, maxReplicas 8"),
        (lambda j: spec(j)["workerGroupSpecs"][0].update(replicas=9), "group gpu: replicas is 9"),
        (lambda j: spec(j)["headGroupSpec"].update(rayStartParams={"num-cpu": "0"}), "did you mean num-cpus?"),
        (
            lambda j: spec(j)["headGroupSpec"]["template"]["spec"]["containers"][0].pop("image"),
            "group head: container ray has no image",
        ),
        (lambda j: j.update(kind="RayService"), "kind is 'RayService'"),
    ],
)
def test_mistakes_that_the_schemas_miss_are_reported(change: Any, message: str) -> None:
    (job,) = copy.deepcopy(load_documents(KUBERAY / "job.yaml"))
    change(job)
    problems = kuberay_problems([job])
    assert any(message in problem for problem in problems), problems


@pytest.mark.parametrize("name", ["cluster", "job"])
def test_the_kuberay_files_match_its_schemas(name: str) -> None:
    given = os.environ.get("NOWT_KUBERAY_SCHEMAS")
    folder = Path(given or ROOT.parent / "shared" / "reference" / "kuberay")
    if not given and not folder.is_dir():
        pytest.skip(f"there is no {folder}: NOWT_KUBERAY_SCHEMAS names the folder with KubeRay's schemas")
    import jsonschema

    with gzip.open(folder / f"ray{name}-v1.schema.json.gz") as file:
        schema = strict(json.load(file)["schema"])
    (document,) = load_documents(KUBERAY / f"{name}.yaml")
    jsonschema.validate(document, schema)
    document["spec"]["rayVersionn"] = "2.60.0"
    with pytest.raises(jsonschema.ValidationError, match="rayVersionn"):
        jsonschema.validate(document, schema)


def strict(schema: Any) -> Any:
    """Convert a Kubernetes schema to a strict JSON schema.

    Unknown fields are refused, fields with a server-side default are optional, and int-or-string is a union type.
    """
    if isinstance(schema, list):
        return [strict(entry) for entry in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: strict(value) for key, value in schema.items()}
    if made.pop("x-kubernetes-int-or-string", False):
        made.pop("type", None), made.pop("anyOf", None)
        return {**made, "type": ["integer", "string"]}
    properties = made.get("properties")
    if isinstance(properties, dict) and made.get("type") == "object":
        if not made.get("x-kubernetes-preserve-unknown-fields"):
            made.setdefault("additionalProperties", False)
        made["required"] = [k for k in made.get("required", []) if "default" not in properties.get(k, {})]
    if made.pop("nullable", False) and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    return made
