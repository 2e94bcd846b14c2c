"""Further edits of an SVG: shapes repeated, hollowed, rounded; line ends, paper, letters and the whole drawing."""

from __future__ import annotations

from jaxerm.data.corruption import svg_words as words
from jaxerm.data.corruption.common import Step, other, pick
from jaxerm.data.program import Edit
from jaxerm.data.sources.drawings import COLOURS, LETTERS, LOCATIONS
from jaxerm.data.svg_items import Item, cell_at
from jaxerm.data.svg_path import map_points, number
from jaxerm.data.svg_tree import Element

_PAPER = ("yellow", "pink", "lightblue", "lightgray")


class MoreEdits:
    """Edits that `corrupt_svg` mixes in with its own. Stands on `_Editor`, which draws from the same generator."""

    def more(self) -> list:
        """The kinds that change a shape, and those that change the drawing."""
        kinds = (self.repeat, self.hollow, self.corner, self.ends)
        on_items = [lambda kind=kind: kind(pick(self.rng, self.items)) for kind in kinds if self.items]
        texts = [item for item in self.items if item.element.tag == "text" and not len(item.element)]
        on_texts = [lambda: self.text_size(pick(self.rng, texts))] * (2 if texts else 0)
        # They fit any drawing: as many as the others they would crowd them out.
        whole = (self.paper, self.letter, self.zoom)
        return [*on_items, *on_texts, lambda: pick(self.rng, whole)()]

    @staticmethod
    def _whole(said: words.Words, cell: int) -> Edit:
        kind, category, severity, text = said
        return Edit(kind, category, severity, LOCATIONS[cell], text)

    def repeat(self, item: Item) -> Step | None:
        """A second one of a shape, beside it."""
        dx, dy, way = pick(self.rng, ((1, 0, "right"), (-1, 0, "left"), (0, 1, "below"), (0, -1, "above")))
        length = round(pick(self.rng, (0.15, 0.25)) * self.side, 0 if self.side >= 20 else 2)
        matrix = (1, 0, 0, 1, dx * length, dy * length)
        moved = map_points(item.points, matrix)
        left, top, width, height = self.box
        inside = all(left <= x <= left + width and top <= y <= top + height for x, y in moved)
        covered = any(self._trace(moved) == self._trace(known.points) for known in self.items)
        if not inside or covered or self._inherits_transform(item):
            return None

        # A second one in the tree would renumber what comes after it: it is marked here and put there at the end.
        shift = f"{dx * length} {dy * length}"
        return self._step(item, words.repeated(item, way), lambda element: element.set("repeated", shift))

    def hollow(self, item: Item) -> Step | None:
        """Only the outline of a filled shape."""
        fill = item.get("fill", "black")
        if fill in ("none", "transparent") or fill.startswith("url") or item.get("stroke", "none") != "none":
            return None
        if item.element.tag == "text" or item.size < words.SMALL:
            return None
        thin = number(self.side / 60, 2)

        def apply(element: Element) -> None:
            for name, value in (("fill", "none"), ("stroke", fill), ("stroke-width", thin)):
                self.put(element, name, value)

        return self._step(item, words.hollow(item, fill), apply)

    def corner(self, item: Item) -> Step | None:
        """Round corners of a rectangle that had none, or none where there were some."""
        element = item.element
        if element.tag != "rect" or item.size < words.SMALL:
            return None
        round_now = any(element.get(name, "0") not in ("0", "") for name in ("rx", "ry"))
        left, top, right, bottom = item.bounds
        if min(right - left, bottom - top) < self.side * words.SMALL:
            return None

        def apply(target: Element) -> None:
            target.attrib.pop("ry", None)
            if round_now:
                target.attrib.pop("rx", None)
            else:
                target.set("rx", number(min(float(target.get("width")), float(target.get("height"))) / 3))

        return self._step(item, words.cornered(item, not round_now), apply)

    def ends(self, item: Item) -> Step | None:
        """Another shape of the ends of an open line."""
        open_line = item.element.tag in ("line", "polyline") or (
            item.element.tag == "path" and "z" not in item.element.get("d", "").lower()
        )
        if item.get("stroke", "none") == "none" or not open_line:
            return None
        now = item.get("stroke-linecap", "butt")
        if now not in words.ENDS:
            return None
        # CairoSVG draws no cut-off ends where an element around this one has others.
        new = "square" if now == "round" else "round"
        return self._step(item, words.ended(item, new, now), lambda element: self.put(element, "stroke-linecap", new))

    def text_size(self, item: Item) -> Step | None:
        """Text that is too large or too small."""
        try:
            now = float(item.get("font-size", "16").removesuffix("px"))
        except ValueError:
            return None
        factor = pick(self.rng, (0.6, 1.5))
        return self._step(
            item,
            words.text_sized(item, factor > 1),
            lambda element: self.put(element, "font-size", number(now * factor)),
        )

    def paper(self) -> Step:
        """A coloured background."""
        left, top, width, height = self.box
        colour = pick(self.rng, _PAPER)
        place = {"x": left, "y": top, "width": width, "height": height}
        attributes = {name: number(value) for name, value in place.items()} | {"fill": colour, "stroke": "none"}
        edit = self._whole(words.papered(colour), 4)
        return Step(
            edit, lambda root: root.insert(0, Element("rect", attributes)), frozenset(["paper"]), (4, -1, -1, -1)
        )

    def letter(self) -> Step:
        """A letter that does not belong there."""
        left, top, width, height = self.box
        x, y = left + pick(self.rng, (0.15, 0.85)) * width, top + pick(self.rng, (0.15, 0.85)) * height
        letter, colour = pick(self.rng, LETTERS), other(self.rng, COLOURS, "black")
        attributes = {
            "x": number(x), "y": number(y + 0.07 * self.side), "font-size": number(0.2 * self.side),
            "text-anchor": "middle", "fill": colour, "stroke": "none",
        }  # fmt: skip

        def apply(root: Element) -> None:
            element = Element("text", attributes)
            element.text = letter
            root.append(element)

        cell = cell_at(x, y, self.box)
        edit = self._whole(words.extra_letter(letter, colour), cell)
        return Step(edit, apply, frozenset([("added", cell)]), (cell, y, x, 1e9))

    def zoom(self) -> Step:
        """The whole drawing smaller on its canvas, or larger."""
        left, top, width, height = self.box
        factor = pick(self.rng, (0.7, 1.25))
        dx, dy = width * (1 / factor - 1) / 2, height * (1 / factor - 1) / 2
        view = " ".join(number(value) for value in (left - dx, top - dy, width / factor, height / factor))
        edit = self._whole(words.zoomed(factor < 1), 4)
        # It moves everything: nothing else that is said of a place would be true.
        touches = frozenset([*self.number.values(), "paper", *(("added", cell) for cell in range(9))])
        return Step(edit, lambda root: root.set("viewBox", view), touches, (-1,))
