"""The Response API: touch performances answered over HTTP (extra `studio`)."""
