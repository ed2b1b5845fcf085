"""The MCP server behind `wtname mcp`. It needs the extra `mcp`, and nothing else here may import it."""
