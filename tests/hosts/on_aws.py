"""The shipped cluster.yaml with the lines that a user edits, on a laptop with the project and keys to an account."""

import re

from tests.hosts.cloud import REGION, Cloud
from tests.hosts.commands import copy_project, done
from tests.hosts.on_premise import once
from tests.support.moto_cloud import BUCKET, IMAGE

KEY = "~/.ssh/nowt-cluster.pem"

FILE = "cluster.yaml"

# an image that the stand-in knows, as whose user root is here
KNOWN = ((r"resolve:ssm:\S+", IMAGE), (r"ssh_user: ubuntu", "ssh_user: root"))


def lay_out(cloud: Cloud) -> str:
    """What a user does once: pictures in a bucket, the project on the laptop, its file edited, and all that it names
    made; what was said."""
    place = f"CreateBucketConfiguration={{'LocationConstraint': '{REGION}'}}"
    laptop = cloud.lab["laptop"]
    copy_project(laptop)
    cloud.ask(f"aws('s3').create_bucket(Bucket='{BUCKET}', {place})")
    laptop.do("mkdir -p drawn/pictures && echo one > drawn/pictures/one.txt && tar -C drawn -cf drawn.tar pictures")
    for key, file in (("pictures.tar", "drawn.tar"), ("more/two.txt", "drawn/pictures/one.txt")):
        cloud.ask(f"aws('s3').upload_file('/root/{file}', '{BUCKET}', 'data/{key}')")
    path = laptop.folder / "root" / "nowt" / FILE
    path.write_text(edited(path.read_text()))
    return done(laptop, f"nowt cluster prepare {FILE} --ssh-from {laptop.address}/32 --yes")


def edited(text: str) -> str:
    """The file for this account, and a small worker counted as one core, so that two workers of a run need two."""
    for old, new in KNOWN:
        text = re.sub(old, new, text)
    text = text.replace("nowt-example", BUCKET)
    return once(text, "  gpu:", "  gpu:\n    resources: {CPU: 1}")
