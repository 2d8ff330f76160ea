"""Texts that are meant to hang a reader or a computer algebra system."""

HOSTILE = (
    "9^{9^{9^{9}}}", "2^{10^{9}}", "10^{10^{10}}!", "(10^{6})!", "100000!", "x^{x^{x^{x^{x}}}}", "(x+y+z+1)^{200}", "(x+1)^{5000}",
    r"\int_0^\infty \frac{\sin(x)^{17}}{x^{17}} dx", r"\int e^{-x^{x}} \sin(\ln(x^2+1)) dx", r"\int \int \int x^{y^{z}} dx dy dz",
    r"\sum_{n=1}^{10^{9}} n", r"\sum_{n=1}^{\infty} \frac{1}{n^{n}}", r"\prod_{n=1}^{10^{7}} n", r"\lim_{x \to 0} \frac{x^x - 1}{x^{x^x}}",
    r"\frac{" * 300 + "1", r"\sqrt{" * 400 + "2" + "}" * 400, "(" * 900 + "1" + ")" * 900, "{" * 900 + "1" + "}" * 900, "x^" * 400 + "2",
    "-" * 1900 + "1", "+".join("123456789" for _ in range(190)), "*".join("99" for _ in range(600)), "1," * 900 + "1", "1 " * 900,
    ", ".join(str(number) for number in range(400)), " or ".join(str(number) for number in range(300)), "x=" * 900 + "1",
    ", ".join(f"x_{number} = {number}" for number in range(130)), r"\{" + ",".join(str(number) for number in range(450)) + r"\}",
    r"\sin(" * 250 + "x" + ")" * 250, r"\sin^{9^{9^9}} x", r"\log_{\log_{\log 2} 3} 4", r"\binom{10^{9}}{5 \cdot 10^{8}}", "0^{0^{0}}",
    r"\frac{1}{0}", "1/0 + 1/0", "i^{i^{i^{i}}}", "1e999999999", "9" * 1990, "0." + "0" * 1980 + "1", "1" * 990 + "/" + "7" * 990,
    r"\begin{pmatrix}" + r" & ".join("1" * 3 for _ in range(250)) + r"\end{pmatrix}", "|" * 1900, "\\" * 1900, "$" * 1900, "^" * 1900,
    "_" * 1900, "{" * 1900, "[" * 1900, "," * 1900, "=" * 1900, "<" * 1900, "not " * 480, "three " * 320, "one hundred " * 160, "A or " * 380,
    "option A, " * 190, "(A) " * 480, "the answer is " * 140, "so 3, " * 320, "a" * 1990, " " * 1990, "a b " * 490, "\\text{" * 300, "\\boxed{" * 280,
    "[0,0,1,1]" * 220, "[0.1,0.2,0.3,0.4] " * 110, "x1=1 " * 390, "(0,0)" * 390, "".join(f"[0,0,{n},{n}]" for n in range(1, 160)),
    "the answer is" + "\n" * 1900, "Answer:" * 280, "<answer>" * 240, "\x00\ud800" * 900, "é" * 1990, "½" * 1990, "²" * 1990, "\u200b" * 1990,
    "1\u00bd" * 990, "x²" * 990, "√" * 1990, "√2" * 990, "π" * 1990, "\u2212" * 1990, "°" * 1990, "9" * 1000 + "°" * 900, "one two three four five " * 80,
    "word " * 20_000, "9" * 1_000_000, "\\boxed{" * 100_000, "(" * 1_000_000, "$x$ " * 100_000, "the answer is 3. " * 50_000,
)  # fmt: skip
