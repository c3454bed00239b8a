"""Other wordings of a question by rule, so that training sees more forms than were written by hand.

Only regular English is handled; a question that no rule fits comes back with no variants.
"""
import re


def third_person(verb):
    if re.search(r"(s|sh|ch|x|z|o)$", verb):
        return verb + "es"
    if re.search(r"[^aeiou]y$", verb):
        return verb[:-1] + "ies"
    return verb + "s"


def base_form(verb):
    if verb.endswith("ies"):
        return verb[:-3] + "y"
    if re.search(r"(sh|ch|ss|x|z)es$", verb):
        return verb[:-2]
    return verb[:-1] if verb.endswith("s") else verb


CODE = re.compile(
    r"(?:Can you w|W|Please w)rite a (?:Python function|function in Python) (?:that (?P<that>\w+s)|to (?P<to>\w+)) (?P<rest>[^?.]+)[?.]?$|"
    r"Give me Python code (?:that (?P<that2>\w+s)|to (?P<to2>\w+)) (?P<rest2>[^?.]+)$|"
    r"How (?:do|can) I (?P<how>\w+) (?P<rest3>[^?.]+?) in Python\?$")


def code_wordings(question):
    m = CODE.match(question)
    if not m:
        return []
    g = m.groupdict()
    verb = g["to"] or g["to2"] or g["how"] or base_form(g["that"] or g["that2"])
    rest = g["rest"] or g["rest2"] or g["rest3"]
    verbs = third_person(verb)
    return [f"Write a Python function that {verbs} {rest}", f"Write a Python function to {verb} {rest}",
            f"Write a function in Python that {verbs} {rest}", f"Write Python code to {verb} {rest}",
            f"Write Python code that {verbs} {rest}", f"Write a Python program that {verbs} {rest}",
            f"Give me Python code that {verbs} {rest}", f"Give me a Python function to {verb} {rest}",
            f"Show me a Python function that {verbs} {rest}", f"Show me how to {verb} {rest} in Python",
            f"Can you write a Python function that {verbs} {rest}?", f"I need a Python function that {verbs} {rest}",
            f"Create a Python function that {verbs} {rest}", f"Implement a Python function to {verb} {rest}",
            f"How do I {verb} {rest} in Python?", f"How can I {verb} {rest} in Python?",
            f"Python function to {verb} {rest}"]


# (pattern, templates); {0} is the pattern's first group.
RULES = [
    (r"What is the difference between (.+) and (.+)\?$",
     ["Explain the difference between {0} and {1}", "What's the difference between {0} and {1}?",
      "How are {0} and {1} different?", "How is {0} different from {1}?", "Compare {0} and {1}",
      "Can you explain the difference between {0} and {1}?", "{0} or {1}: what is the difference?"]),
    (r"What is (the (?!difference|goal|use|point|price)[^?]+)\?$",
     ["What's {0}?", "Tell me {0}", "Can you tell me what {0} is?", "Do you know what {0} is?",
      "Please tell me {0}"]),
    (r"(?:What is|Explain|Can you explain|Define|Tell me about|Explain what) ((?:an? )?(?!the |a |an |how |why |what |in |it |your |half |my |this |two |one |\d)[^?]+?)"
     r"(?: is)?(?: in simple terms| simply| in simple words)?[?]?$",
     ["What is {0}?", "What's {0}?", "Explain {0}", "Explain {0} in simple terms", "Explain {0} simply",
      "Can you explain {0}?", "Can you explain {0} in simple words?", "Tell me about {0}", "Tell me what {0} is",
      "Please explain {0}", "Describe {0}", "What does {0} mean?", "I want to know what {0} is",
      "What do you know about {0}?", "Give me a short explanation of {0}"]),
    (r"(?:How does|Explain how|Tell me how) ([^?]+?) works?\??$",
     ["How does {0} work?", "Explain how {0} works", "Tell me how {0} works", "Can you explain how {0} works?",
      "How {0} works", "I want to know how {0} works", "Please explain how {0} works"]),
    (r"How do ([^?I][^?]+?) work\?$",
     ["Explain how {0} work", "Tell me how {0} work", "Can you explain how {0} work?", "How {0} work"]),
    (r"How (?:do|can) I ([^?]+)\?$",
     ["How do I {0}?", "How can I {0}?", "How to {0}?", "How do you {0}?", "Tell me how to {0}",
      "Can you tell me how to {0}?", "What is the best way to {0}?", "I want to {0}. How do I do that?"]),
    (r"(?:Write|Compose|Give me|Please write|Write me|Can you write) a (?:short )?(haiku|poem) about ([^?]+)\??$",
     ["Write a {0} about {1}", "Write me a {0} about {1}", "Write a short {0} about {1}", "Compose a {0} about {1}",
      "Give me a {0} about {1}", "Can you write a {0} about {1}?", "Please write a {0} about {1}",
      "I would like a {0} about {1}", "A {0} about {1}, please", "Make a {0} about {1}", "Write a {0} on {1}"]),
    (r"(?:Write|Give) a detailed technical explanation of ([^?]+)$",
     ["Give a detailed technical explanation of {0}", "Write a technical explanation of {0}",
      "Write a detailed explanation of {0}", "Explain in technical detail {0}", "Explain in detail {0}",
      "Describe in detail {0}"]),
    (r"Why (do|does|is|are) ([^?]+)\?$", ["Tell me: why {0} {1}?", "I have a question: why {0} {1}?", "Why {0} {1}"]),
    (r"(?:Give me|Tell me) (.+)$", ["Give me {0}", "Can you give me {0}?", "I need {0}", "Please give me {0}"]),
]
RULES = [(re.compile(pattern), templates) for pattern, templates in RULES]


def wordings(question):
    """Other ways to ask the same; never the question itself."""
    if re.search(r"\b(plus|minus|times|divided|yourself|yours?)\b|\d", question):
        return []
    found = code_wordings(question)
    if not found:
        for pattern, templates in RULES:
            m = pattern.match(question)
            if m:
                found = [t.format(*m.groups()) for t in templates]
                break
    return [q[0].upper() + q[1:] for q in found if q != question]


LEADS = ("Hey, ", "Hi, ", "Hello! ", "I have a question. ", "Question: ", "Please help me. ", "Quick question: ",
         "Can you help me? ")


def noisy(question, rng):
    """A word lost or mistyped; short questions and short words stay as they are."""
    words = question.split(" ")
    i = rng.randrange(len(words))
    x = rng.random()
    if x < 0.5 and len(words) > 6:
        del words[i]
    elif x < 0.85 and len(words[i]) > 4:
        j = rng.randrange(len(words[i]) - 1)
        w = words[i]
        words[i] = w[:j] + w[j + 1] + w[j] + w[j + 2:]
    elif len(words[i]) > 4:
        j = rng.randrange(1, len(words[i]))
        words[i] = words[i][:j] + words[i][j + 1:]
    return " ".join(words)
