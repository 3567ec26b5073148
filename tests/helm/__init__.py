"""The chart, rendered by Helm's own code and held against what Kubernetes takes."""
