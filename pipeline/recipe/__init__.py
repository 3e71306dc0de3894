"""From YAML to checked stages that know where each value was written."""
