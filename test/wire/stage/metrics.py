"""The text format of Prometheus (0.0.4), read strictly."""
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SAMPLE = re.compile(rf"({NAME})(?:\{{(.*)\}})? (\S+)(?: (-?[0-9]+))?")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"(,|$)')
UNESCAPE = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


class Metrics:
    def __init__(self, text):
        self.text = text
        self.types, self.helps, self.samples = {}, {}, {}
        family = None
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                _, _, family, kind = line.split(" ")
                assert family not in self.types, f"two TYPE lines for {family}"
                self.types[family] = kind
            elif line.startswith("# HELP "):
                name = line.split(" ", 3)[2]
                assert name not in self.helps, f"two HELP lines for {name}"
                self.helps[name] = line.split(" ", 3)[3]
            elif line and not line.startswith("#"):
                self._sample(line, family)
        assert text.endswith("\n"), "the last line is not ended"

    def _sample(self, line, family):
        found = SAMPLE.fullmatch(line)
        assert found, f"not a sample: {line!r}"
        name, labels, value = found[1], self._labels(found[2] or "", line), float(found[3])
        assert family and (name == family or name in (family + "_bucket", family + "_sum", family + "_count")), \
            f"{name} stands under the TYPE of {family}"
        key = (name, frozenset(labels.items()))
        assert key not in self.samples, f"twice: {line!r}"
        self.samples[key] = value

    @staticmethod
    def _labels(text, line):
        labels, at = {}, 0
        while at < len(text):
            found = LABEL.match(text, at)
            assert found, f"labels of {line!r} at {text[at:]!r}"
            assert found[1] not in labels, f"label twice: {line!r}"
            labels[found[1]] = re.sub(r'\\[\\"n]', lambda m: UNESCAPE[m[0]], found[2])
            at = found.end()
        return labels

    def series(self, name, **labels):
        """[(labels, value)] of the samples that have at least these labels."""
        return [(dict(have), value) for (found, have), value in self.samples.items()
                if found == name and all(item in have for item in labels.items())]

    def get(self, name, **labels):
        """The sum over the samples that have at least these labels; None if there is none."""
        found = self.series(name, **labels)
        return sum(value for _, value in found) if found else None

    def check_histograms(self):
        """Buckets never fall, and the last is the count."""
        for family, kind in self.types.items():
            if kind != "histogram":
                continue
            for labels, count in self.series(family + "_count"):
                buckets = [(float(have["le"]), value) for have, value in self.series(family + "_bucket", **labels)]
                values = [value for _, value in sorted(buckets)]
                assert values == sorted(values), f"{family}{labels}: {buckets}"
                assert max(buckets)[0] == float("inf") and values[-1] == count, f"{family}{labels}: {buckets} {count}"
                assert self.get(family + "_sum", **labels) is not None
