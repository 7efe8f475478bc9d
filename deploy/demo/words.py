"""Words for the demo's people, shops and campaigns."""

FIRST_NAMES = (
    "Adèle", "Ahmed", "Ana", "Anouk", "Arthur", "Béatrice", "Bram", "Camille", "Chloé", "Daan",
    "Elif", "Emma", "Femke", "Finn", "Giulia", "Hannah", "Hugo", "Inès", "Jan", "Joost", "Julie",
    "Karim", "Lars", "Léa", "Lena", "Louis", "Lucas", "Manon", "Marie", "Mateo", "Mila", "Milan",
    "Nina", "Noah", "Nora", "Olivia", "Omar", "Oscar", "Pieter", "Rosa", "Samuel", "Sara", "Simon",
    "Sofía", "Sören", "Thomas", "Tine", "Victor", "Yasmine", "Zoë",
)  # fmt: skip

LAST_NAMES = (
    "Aerts", "Benali", "Bogaert", "Claes", "Collin", "Dubois", "De Smet", "D'Hondt", "El Idrissi",
    "Fontaine", "Garcia", "Goossens", "Hendrickx", "Jacobs", "Janssens", "Kaya", "Lambert",
    "Leclercq", "Lemaire", "Maes", "Martin", "Mertens", "Michiels", "Moreau", "Nguyen", "Novák",
    "Øster", "Peeters", "Petit", "Renard", "Rossi", "Simon", "Smets", "Thys", "Van Damme",
    "Van den Broeck, Jr", "Vermeulen", "Willems", "Wouters", "Yıldız",
)  # fmt: skip

CITIES = (
    ("1000", "Brussels", "BE"), ("2000", "Antwerp", "BE"), ("4000", "Liège", "BE"),
    ("5000", "Namur", "BE"), ("9000", "Ghent", "BE"), ("1011 AB", "Amsterdam", "NL"),
    ("3011 AA", "Rotterdam", "NL"), ("59000", "Lille", "FR"), ("75011", "Paris", "FR"),
    ("69003", "Lyon", "FR"), ("1210", "Luxembourg", "LU"), ("50667", "Cologne", "DE"),
)  # fmt: skip

LANGUAGES = {"BE": "fr", "NL": "nl", "FR": "fr", "LU": "fr", "DE": "de"}

HOBBIES = (
    "cooking",
    "cycling",
    "gardening",
    "hiking",
    "music",
    "photography",
    "reading",
    "sailing",
    "yoga",
)

MAIL_DOMAINS = ("example.com", "example.org", "example.net", "mail.example", "post.example")

CATEGORIES = ("books", "garden", "kitchen", "outdoor", "shoes", "toys")

LINKS = (
    ("https://shop.example/spring", "To the collection"),
    ("https://shop.example/sale?sizes=s,m,l", "Sale"),
    ("https://shop.example/account", "My account"),
    ("https://shop.example/stores", None),
    ("https://shop.example/help", 'The "help" page'),
)
"""Links in e-mails: address, and name or None."""

CARD_LEVELS = ("blue", "silver", "gold")
