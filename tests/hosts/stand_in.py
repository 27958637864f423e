"""AWS's stand-in as a server: moto's, but for one thing that a cluster which grows by two at a time must have.

EC2 starts up to MaxCount machines, moto starts MinCount.
"""

import sys
from typing import Any

from moto.ec2.responses.instances import InstanceResponse
from moto.server import main

few = InstanceResponse.run_instances


def many(response: Any) -> Any:
    """RunInstances."""
    response.params["MinCount"] = response.params.get("MaxCount", "1")
    return few(response)


if __name__ == "__main__":
    InstanceResponse.run_instances = many
    main(sys.argv[1:])
