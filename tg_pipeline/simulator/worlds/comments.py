"""How a channel's linked group is laid out: each post's copy, then the comments to it, in closed form."""

from bisect import bisect_left, bisect_right
from itertools import accumulate

from tg_pipeline.simulator.worlds.timeline import Timeline

COMMENTS = (0, 3, 1, 0, 7, 0, 2, 5)
"""The post of rank p has COMMENTS[p % 8] comments."""

_PERIOD = len(COMMENTS)
_STARTS = list(accumulate((1 + count for count in COMMENTS), initial=0))
_SPAN = _STARTS[-1]


def copy_rank(post: int) -> int:
    """The rank in the group of the copy of that post."""
    period, place = divmod(post, _PERIOD)
    return period * _SPAN + _STARTS[place]


def post_and_comment(rank: int) -> tuple[int, int]:
    """The post that a rank of the group belongs to, and which comment it is, from 1; 0 is the copy itself."""
    period, place = divmod(rank, _SPAN)
    index = bisect_right(_STARTS, place) - 1
    return period * _PERIOD + index, place - _STARTS[index]


def comment_ranks(post: int) -> range:
    """The ranks in the group of the comments to that post."""
    first = copy_rank(post) + 1
    return range(first, first + COMMENTS[post % _PERIOD])


class DiscussionTimeline:
    """Copies appear with their posts; comments spread evenly until the next post."""

    def __init__(self, posts: Timeline) -> None:
        self._posts = posts

    def date(self, rank: int) -> int:
        """The date of that rank, whether or not it has come yet."""
        post, comment = post_and_comment(rank)
        start = self._posts.date(post)
        if not comment:
            return start
        return start + (self._posts.date(post + 1) - start) * comment // (COMMENTS[post % _PERIOD] + 1)

    def rank_of_date(self, timestamp: float) -> int:
        """How many messages, of all times, precede the first one dated at `timestamp` or later."""
        post = self._posts.rank_of_date(timestamp)
        if post == 0:
            return 0
        # Comments to earlier posts are no later than the post before this one.
        ranks = range(copy_rank(post - 1), copy_rank(post))
        return ranks.start + bisect_left(ranks, timestamp, key=self.date)
