"""Where the lab's energy went, node by node and hour by hour, and what nodes draw idle."""
