"""The evaluator: tasks, backbone, baselines, gates, training, trusted scoring and statistics."""
