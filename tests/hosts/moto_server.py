"""Moto's server with one correction: RunInstances starts MaxCount instances, as EC2 does if it can.

Moto starts MinCount. A cluster that grows by two machines at a time needs both.
"""

import sys
from typing import Any

from moto.ec2.responses.instances import InstanceResponse
from moto.server import main

run_min_count = InstanceResponse.run_instances


def run_max_count(response: Any) -> Any:
    """Handle RunInstances."""
    response.params["MinCount"] = response.params.get("MaxCount", "1")
    return run_min_count(response)


if __name__ == "__main__":
    InstanceResponse.run_instances = run_max_count
    main(sys.argv[1:])
