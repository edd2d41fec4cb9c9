"""Share links: papers, reports and runs, shown to anybody who has the link."""
