"""`python -m processors lifecycle`: prints the rules by which the bucket itself removes old posts.

For `aws s3api put-bucket-lifecycle-configuration` and MinIO's `mc ilm import`. They do the work of `moment_days` in
retention.py, without requests of ours; the sweeper then finds nothing left, and removes the moments themselves. A rule
counts from the last write of an object, so it is a few days later than the sweeper. Where a bucket keeps versions, an
expired object is only hidden: its last version goes a day later, and with it versions that a crash left behind. Photos
as received cannot go by a rule, because the receipt in the same object keeps the post (storage/existence.py).
"""

import sys

import msgspec

import storage.config

# Keys of posts begin with a hex digit, and nothing else in the bucket does. S3 takes 1,000 rules.
DIGITS = "0123456789abcdef"


def run(config: storage.config.Config) -> int:
    """Print the rules as JSON; 2 when moments are kept for ever."""
    if not config.moment_days:
        print("processors: SNAPSURGE_STORAGE_MOMENT_DAYS is 0: posts are kept for ever", file=sys.stderr)
        return 2
    print(msgspec.json.format(msgspec.json.encode(rules(config.moment_days))).decode())
    return 0


def rules(days: int) -> dict[str, object]:
    """The configuration in the form of the S3 API."""
    return {
        "Rules": [
            {
                "ID": f"snapsurge-posts-{digit}",
                "Status": "Enabled",
                "Filter": {"Prefix": digit},
                "Expiration": {"Days": days},
                "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
            }
            for digit in DIGITS
        ]
    }
