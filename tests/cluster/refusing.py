"""A provider of nodes that has no spot machines at the moment, as EC2 would say it."""

import sys
from typing import Any

from ray.autoscaler._private.fake_multi_node.node_provider import FakeMultiNodeProvider
from ray.autoscaler.node_launch_exception import NodeLaunchException
from ray.autoscaler.tags import TAG_RAY_USER_NODE_TYPE


class Refusing(FakeMultiNodeProvider):
    """Refuses the node type `spot`."""

    def create_node_with_resources_and_labels(
        self, node_config: Any, tags: dict[str, str], count: int, resources: Any, labels: Any
    ) -> None:
        if tags[TAG_RAY_USER_NODE_TYPE] == "spot":
            raise NodeLaunchException("InsufficientInstanceCapacity", "no spot machines", sys.exc_info())
        super().create_node_with_resources_and_labels(node_config, tags, count, resources, labels)
