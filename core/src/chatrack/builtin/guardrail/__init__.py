"""The guardrails of the plugin `guardrails`."""
