"""The lab's energy by node and hour, and the idle power of nodes."""
