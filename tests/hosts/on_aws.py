"""Setup of a cluster on AWS: the shipped cluster.yaml with a user's edits, on a laptop with AWS credentials."""

import re

from tests.hosts.commands import command_output, copy_project
from tests.hosts.on_premise import replace_once
from tests.hosts.simulated_aws import REGION, Cloud
from tests.support.moto_cloud import BUCKET, IMAGE

KEY = "~/.ssh/nowt-cluster.pem"

FILE = "cluster.yaml"

# an image that moto knows, and the user of the simulated hosts
REPLACEMENTS = ((r"resolve:ssm:\S+", IMAGE), (r"ssh_user: ubuntu", "ssh_user: root"))


def set_up(cloud: Cloud) -> str:
    """Do what a user does once: upload images to a bucket, copy the project to the laptop, edit its cluster file, and
    run `nowt cluster prepare`. Returns the output of that command."""
    location = f"CreateBucketConfiguration={{'LocationConstraint': '{REGION}'}}"
    laptop = cloud.testbed["laptop"]
    copy_project(laptop)
    cloud.evaluate(f"aws('s3').create_bucket(Bucket='{BUCKET}', {location})")
    laptop.check_output("mkdir -p new/images && echo one > new/images/one.txt && tar -C new -cf new.tar images")
    for key, file in (("images.tar", "new.tar"), ("more/two.txt", "new/images/one.txt")):
        cloud.evaluate(f"aws('s3').upload_file('/root/{file}', '{BUCKET}', 'data/{key}')")
    path = laptop.folder / "root" / "nowt" / FILE
    path.write_text(edit(path.read_text()))
    return command_output(laptop, f"nowt cluster prepare {FILE} --ssh-from {laptop.address}/32 --yes")


def edit(text: str) -> str:
    """Adapt the file to this account. A worker machine has one core, so that two workers of a run need two machines."""
    for old, new in REPLACEMENTS:
        text = re.sub(old, new, text)
    text = text.replace("nowt-example", BUCKET)
    return replace_once(text, "  gpu:", "  gpu:\n    resources: {CPU: 1}")
