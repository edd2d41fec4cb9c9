"""SQL of nodes, their workers, devices and idle powers."""
