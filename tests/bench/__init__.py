"""`make bench`: what the service costs, measured against what one would write first."""
