"""``python -m tests.supply.audit PIP_AUDIT``: look the pins up in the published advisories, and say so if that is not possible."""

import json
import subprocess
import sys

import click


def main(pip_audit: str) -> int:
    """Return 0 if no pin has a known vulnerability, 1 if one has, and 2 if not all of them could be looked up."""
    command = [
        pip_audit,
        "-r",
        "constraints.txt",
        "--no-deps",
        "--disable-pip",
        "--format",
        "json",
        "--progress-spinner",
        "off",
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        pins = json.loads(result.stdout)["dependencies"]
    except (ValueError, KeyError):
        reason = (result.stderr.strip() or "no output").splitlines()[-1]
        click.echo(f"audit: NOTHING WAS AUDITED, because no source of advisories could be reached: {reason}")
        return 2
    vulnerable = [pin for pin in pins if pin.get("vulns")]
    for pin in vulnerable:
        for found in pin["vulns"]:
            fixed = ", ".join(found.get("fix_versions") or ["no version"])
            click.echo(f"audit: {pin['name']} {pin['version']}: {found['id']}, fixed in {fixed}")
    skipped = [pin for pin in pins if "skip_reason" in pin]
    if skipped:
        click.echo(
            f"audit: {len(skipped)} of {len(pins)} pins were NOT AUDITED, because the source that was reached does not know them:"
            f" {skipped[0]['skip_reason']}, …"
        )
    if not vulnerable and not skipped:
        click.echo(f"audit: none of {len(pins)} pins has a known vulnerability")
    return 1 if vulnerable else 2 if skipped else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
