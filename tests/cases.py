"""Ten questions, each with a caption, and a reasoner's way to its answer. The texts are ours."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A question with a right and a wrong answer, and how a reasoner comes to either."""

    kind: str
    question: str
    answer: str
    wrong: str
    caption: str
    paragraphs: tuple[str, ...]
    """The reasoning; `{answer}` is what it comes to."""
    closing: str
    choices: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()


CASES = (
    Case(
        kind="digit",
        question="Subtract all rubber cylinders. How many objects are left on the tray?",
        answer="5",
        wrong="6",
        caption="A tray with 7 objects: three metal cubes, two glass spheres, and two rubber cylinders in front.",
        paragraphs=(
            (
                "Okay, so the tray of picture {code} holds several small things, and I have to take the rubber cylinders away. "
                "Let me list what I see first: three metal cubes at the back, two glass spheres to the left of them."
            ),
            (
                "In front there are two rubber cylinders, one green and one grey. That makes 7 objects in total, because "
                "3 + 2 + 2 = 7. None of the cubes is made of rubber, their surfaces are shiny."
            ),
            "Taking the 2 cylinders away leaves {answer} objects, which are the cubes and the spheres.",
        ),
        closing="Once the rubber cylinders are gone, the cubes and spheres remain on the tray.",
    ),
    Case(
        kind="choice",
        question="How does the peak intensity change with the pump power in panel (b)?",
        answer="B",
        wrong="C",
        choices=("It falls.", "It rises.", "It stays constant.", "It swings without a trend."),
        caption="Four panels. Panel (b): pump power in mW on the x-axis, peak intensity on a log axis, points rising.",
        paragraphs=(
            (
                "Alright, picture {code} has four panels and the question is about panel (b). Its horizontal axis is the pump "
                "power in mW, and the vertical one is the peak intensity on a logarithmic scale."
            ),
            (
                "The markers start at roughly 20 mW in the lower left corner. Moving to the right they climb, first steeply, "
                "then a bit slower, up to 180 mW. I see no point that lies below its left neighbour."
            ),
            "A steady climb means that the intensity goes up with the power, so the matching option is {answer}.",
        ),
        closing="The points of panel (b) climb from left to right without any dip.",
    ),
    Case(
        kind="math",
        question="The straight line passes through the two marked points. Find its equation as y = ...",
        answer="y = 2x + 3",
        wrong="y = 2x - 3",
        caption="A coordinate grid with a line through the marked points (0, 3) and (4, 11).",
        paragraphs=(
            (
                "So in picture {code} there is a grid with one straight line, and two points on it are marked with dots: the "
                "first lies on the vertical axis at (0, 3), the other at (4, 11)."
            ),
            (
                "The slope is the rise over the run: (11 - 3) / (4 - 0) = 8 / 4 = 2. At x = 0 the line meets the axis at 3, "
                "which gives the constant term at once."
            ),
            "Putting both together I get {answer}, and the second point fits: 2 times 4 plus 3 is 11.",
        ),
        closing="Slope and intercept follow from the two points.",
    ),
    Case(
        kind="choice",
        question="AB is a diameter of circle O and angle BAC is 63 degrees. What is angle ABC?",
        answer="D",
        wrong="A",
        choices=("63\u00b0", "117\u00b0", "54\u00b0", "27\u00b0"),
        caption="A circle with centre O, diameter AB, a point C on it, chords AC and BC; angle A is labelled 63\u00b0.",
        paragraphs=(
            (
                "First, picture {code} is a circle whose diameter runs from A to B through the centre, and C is a third point "
                "on the circle, joined to both ends."
            ),
            (
                "By Thales the angle at C is a right one, 90 degrees. The angles of the triangle add up to 180, so the two at "
                "A and B together make 90. The one at A is 63 according to its label."
            ),
            "Then 90 - 63 = 27, and that is option {answer}.",
        ),
        closing="The angle in the semicircle is a right angle, which fixes the third one.",
    ),
    Case(
        kind="open",
        question="Who signed the letter at the bottom of the page?",
        answer="R. W. Caldwell",
        wrong="T. Merrick",
        answers=("R. W. Caldwell", "Caldwell"),
        caption="A typed letter dated March 4, 1971, addressed to T. Merrick, signed R. W. Caldwell, Vice President.",
        paragraphs=(
            (
                "The page in picture {code} is a typed letter with a date in the upper right corner, March 4, 1971. Below it "
                "stands the address of the person it was sent to."
            ),
            (
                "There are two names on it. One is in the address block, that is the receiver. The other stands under the "
                "handwriting at the bottom, followed by a title, so it belongs to the sender."
            ),
            "The signature line therefore gives the name I need: {answer}.",
        ),
        closing="The name under the handwriting is the one of the sender.",
    ),
    Case(
        kind="open",
        question="What flavour is written on this can?",
        answer="ginger lime",
        wrong="orange",
        answers=("ginger lime", "ginger-lime", "ginger and lime"),
        caption="A hand holds a green drink can; large letters read GINGER LIME, small ones 330 ml.",
        paragraphs=(
            (
                "Someone holds a can into the camera in picture {code}, slightly tilted and a little blurred. Most of its front "
                "is green, with a lighter band across the middle."
            ),
            (
                "On that band there are large letters in two rows. The upper row has six letters and the lower row four. The "
                "small print below is the volume, 330 ml, and says nothing of the taste."
            ),
            "Reading the rows from top to bottom, the flavour is {answer}.",
        ),
        closing="The large letters on the band name it.",
    ),
    Case(
        kind="iou",
        question="Give the bounding box of the parked bicycle.",
        answer="[0.12, 0.40, 0.38, 0.86]",
        wrong="[0.62, 0.40, 0.88, 0.86]",
        caption="A street. A bicycle leans on a wall at left, about from 12 % to 38 % of the width, 40 % to 86 % of the height.",
        paragraphs=(
            (
                "In picture {code} a bicycle leans on a brick wall, in the left half of the street scene. I need its edges as "
                "shares of the width and the height."
            ),
            (
                "Its rear wheel begins at about 12 percent of the width and its front wheel ends near 38 percent. The handlebar "
                "is the highest part, at 40 percent from the top, and the tyres touch the ground at 86 percent."
            ),
            "That makes left, top, right and bottom {answer}.",
        ),
        closing="The box runs from the rear wheel to the front wheel and from the handlebar to the ground.",
    ),
    Case(
        kind="digit",
        question="In how many of the months shown did the rainfall exceed 80 mm?",
        answer="4",
        wrong="3",
        caption="Bars of monthly rainfall, January to June: 91, 84, 60, 72, 88, 95 mm.",
        paragraphs=(
            (
                "The bar chart of picture {code} runs from January to June, with the rainfall in mm on the vertical axis and a "
                "value printed on top of each bar."
            ),
            (
                "I go through them one by one: 91 is above 80, 84 is above it, 60 is below, 72 is below, 88 is above, and 95 "
                "is above, too. A dashed line at 80 makes it easy to see."
            ),
            "So the number of bars that reach beyond the line is {answer}.",
        ),
        closing="Only March and April stay below the line.",
    ),
    Case(
        kind="math",
        question="What is the area of the shaded triangle in square centimetres?",
        answer=r"\frac{15}{2}",
        wrong=r"\frac{15}{4}",
        caption="A right triangle with legs of 3 cm and 5 cm, shaded.",
        paragraphs=(
            (
                "What picture {code} gives me is a right triangle, shaded in grey, with its two legs labelled. The shorter leg "
                "is 3 cm long and the other 5 cm."
            ),
            (
                "For a right triangle one leg is the base and the other the height, so no further construction is needed. The "
                "product of the legs is 3 times 5, which is 15."
            ),
            "Half of that is the area, so I arrive at {answer}.",
        ),
        closing="The area is half of the product of the legs.",
    ),
    Case(
        kind="open",
        question="What is the dog in the foreground doing?",
        answer="It is catching a frisbee in mid-air.",
        wrong="It is asleep under a bench.",
        caption="A park at noon. In front a brown dog jumps and catches a frisbee; behind it, people sit on benches.",
        paragraphs=(
            (
                "The scene of picture {code} is a park in bright light, probably around noon because the shadows are short. In "
                "the foreground there is a brown dog with all four paws off the ground."
            ),
            (
                "Its mouth is open around a flat round disc, and the disc is tilted as if it had just arrived. The people on the "
                "2 benches behind it look in its direction."
            ),
            "Taken together, what the dog does is this: {answer}",
        ),
        closing="All four paws are off the ground and the disc is between its teeth.",
    ),
)
