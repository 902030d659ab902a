"""RoboJam: call and response on touch performances."""
