"""montage-ai TRACK: print the cut list of a track."""

import sys

from .editor import cuts


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    import librosa  # slow to import, so only when there is work

    samples, rate = librosa.load(sys.argv[1])
    _, frames = librosa.beat.beat_track(y=samples, sr=rate)
    for at in cuts(librosa.frames_to_time(frames, sr=rate)):
        print(f"{at:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
