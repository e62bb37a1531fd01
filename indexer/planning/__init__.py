"""What an archive of some size would need, from what was measured.

May import: nothing else of the project.
"""
