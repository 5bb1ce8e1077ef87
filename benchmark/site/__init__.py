"""What people see: the page of one evaluation, and the leaderboard. Static files, nothing loaded from elsewhere."""

from mitds.benchmark.site.board import build_site
from mitds.benchmark.site.entries import Entry
from mitds.benchmark.site.page import ItemView, write_page
from mitds.benchmark.site.skeletons import skeleton_video

__all__ = ["Entry", "ItemView", "build_site", "skeleton_video", "write_page"]
