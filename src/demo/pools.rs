//! What can be true: per kind the values that answer a question, and the details told with them.
//!
//! Only data. Small enough pools that several households share a value (the questions with several
//! right people), and no value in two of them. `{y+3}` is the year three years from today's.
//! A name of a professional isn't here: those come from the book.

use super::facts::Kind;

/// Values, details.
type Pool = (&'static [&'static str], &'static [&'static str]);

const RELATIONS: &[&str] = &[
    "great-aunt",
    "godmother",
    "stepfather",
    "uncle",
    "older cousin",
];
const MONTHS: &[&str] = &["January", "April", "May", "June", "September", "October"];

// A table: one word a line would hide its shape.
#[rustfmt::skip]
pub(super) fn of(kind: Kind) -> Pool {
    match kind {
        Kind::ChildSport => (
            &[
                "baseball", "soccer", "lacrosse", "volleyball", "water polo", "softball",
                "ice hockey", "tennis", "badminton", "basketball", "wrestling", "field hockey",
                "rugby", "fencing", "squash", "flag football",
            ],
            &["the Otters", "the Comets", "the Thunder", "the Riverhawks", "the Red Foxes"],
        ),
        Kind::ChildArts => (
            &[
                "ballet", "cello", "violin", "tap dance", "clarinet", "pottery", "jazz piano",
                "trumpet", "watercolor painting", "musical theater", "oboe", "folk guitar",
                "stop-motion animation", "flute",
            ],
            &["Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Saturdays"],
        ),
        Kind::Pet => (
            &[
                "golden retriever", "beagle", "tabby cat", "cockatiel", "border collie",
                "Maine Coon", "greyhound", "lop-eared rabbit", "dachshund", "Siamese cat", "corgi",
                "parakeet", "Newfoundland", "hedgehog", "tortoise",
            ],
            &["Biscuit", "Pepper", "Waffles", "Juniper", "Moose", "Pickle", "Clementine"],
        ),
        Kind::Allergy => (
            &[
                "shellfish", "peanuts", "gluten", "dairy", "sesame", "strawberries", "eggs",
                "walnuts", "soy", "mushrooms",
            ],
            &["hives", "a swollen face", "an awful night", "a swollen lip"],
        ),
        Kind::Hobby => (
            &[
                "birdwatching", "woodturning", "fly fishing", "astronomy", "quilting", "pickleball",
                "gardening", "genealogy", "model trains", "salsa dancing", "crossword puzzles",
                "sourdough baking",
            ],
            &["most weekends", "on Friday evenings", "every other Sunday", "before breakfast"],
        ),
        Kind::Vehicle => (
            &[
                "camper van", "hybrid pickup", "sailboat", "plug-in hatchback",
                "vintage motorcycle", "pontoon boat", "convertible", "cargo e-bike", "minivan",
                "travel trailer",
            ],
            &["cash", "a three-year loan", "a lease", "money from the brokerage account"],
        ),
        Kind::SellStock => (
            &[
                "buy a cabin by the lake", "pay off the credit cards",
                "stop worrying about one company", "lend money to a cousin",
                "settle last year's tax bill", "trim a position that has grown too large",
                "harvest the loss before December", "fund an adoption",
                "get out before a rough earnings season", "repay an old family loan",
                "pay for braces for a nephew", "build up a cash cushion",
                "avoid doubling up with the 401(k)", "pay for a family reunion",
            ],
            &["AAPL", "TSLA", "NVDA", "MSFT", "AMZN", "KO", "F", "DIS"],
        ),
        Kind::BuyFund => (
            &[
                "VTSAX", "VTI", "BND", "SCHD", "VXUS", "VWO", "AGG", "QQQ", "VNQ", "IJR", "TIP",
                "SPY",
            ],
            &["$12,000", "$25,000", "$31,500", "$60,000", "$8,500"],
        ),
        Kind::Roth => (
            &[
                "$40,000", "$22,000", "$55,000", "$17,500", "$33,000", "$90,000", "$28,750",
                "$64,000", "$12,400", "$48,000",
            ],
            &["the old rollover IRA", "the SEP account", "the traditional IRA"],
        ),
        Kind::Rmd => (
            &[
                "$18,400", "$9,750", "$26,300", "$14,120", "$31,080", "$7,660", "$22,915",
                "$11,240", "$41,500", "$16,890",
            ],
            &["checking", "the joint savings account", "the money market account"],
        ),
        Kind::Mortgage => (
            &[
                "5.875%", "6.125%", "4.75%", "6.5%", "5.25%", "3.875%", "6.75%", "5.5%", "4.25%",
                "7.125%",
            ],
            &["Pinecrest Savings", "Old Harbor Bank", "Quillmark Credit Union", "Bluestem Bank"],
        ),
        Kind::Renovation => (
            &[
                "sunroom", "screened porch", "solar array", "finished basement", "new roof",
                "second bathroom", "wheelchair ramp", "detached garage", "stone patio", "heat pump",
            ],
            &["in the spring", "before the holidays", "as soon as the permit clears", "in August"],
        ),
        Kind::LifeInsurance => (
            &[
                "$750,000", "$1.2 million", "$500,000", "$2 million", "$350,000", "$900,000",
                "$1.5 million", "$275,000", "$600,000", "$1 million",
            ],
            &["Evergrand Mutual", "Lanternlight Life", "Tidewater Assurance", "Oakheart Life"],
        ),
        Kind::Illness => (
            &[
                "a hip replacement", "knee surgery", "shingles", "cataract surgery", "pneumonia",
                "a pacemaker", "back surgery", "radiation treatment", "a broken wrist",
                "gallbladder surgery", "Lyme disease", "a torn rotator cuff",
            ],
            &["six weeks", "about a month", "ten days", "most of the season"],
        ),
        Kind::Accountant => (
            &[],
            &["the extension", "the K-1 forms", "the quarterly estimates"],
        ),
        Kind::Lawyer => (
            &[],
            &["the wills", "powers of attorney", "the pour-over will"],
        ),
        Kind::Trustee => (
            &[],
            &["a brother", "the bank", "a neighbor", "a college friend"],
        ),
        Kind::Divorce => (&[], &["two sessions", "one session", "four sessions"]),
        Kind::Inheritance => (
            &[
                "a duplex in Cedar Falls", "a coin collection", "a farm near Willow Creek",
                "a small apartment building", "eighty acres of timber", "a bundle of savings bonds",
                "a lake cottage", "a block of utility stock", "an antique clock collection",
                "a half share in a hardware store",
            ],
            RELATIONS,
        ),
        Kind::Charity => (
            &[
                "Harbor Light Food Bank", "the Willow Creek Library", "Paws Again Rescue",
                "the Lantern Street Shelter", "Riverkeepers United", "the Children's Reading Van",
                "the Maplewood Hospice", "Second Song Music School", "the Trail Builders Guild",
                "the Fernbank Observatory",
            ],
            &["a donor-advised fund", "appreciated shares", "a yearly check", "a bequest"],
        ),
        Kind::College => (
            &[
                "$350 a month", "$200 a month", "$500 a month", "$125 a month", "$425 a month",
                "$275 a month", "$600 a month", "$80 a month", "$150 a month", "$325 a month",
            ],
            &["the age-based option", "the index option", "the conservative option"],
        ),
        Kind::Grandchild => (
            &[
                "Marigold", "Thaddeus", "Wren", "Ottilie", "Caspian", "Rosalind", "Phineas",
                "Saffron", "Leopold", "Tamsin", "Barnaby", "Isolde",
            ],
            &["seven pounds", "three weeks early", "with a full head of hair", "right on time"],
        ),
        Kind::Job => (
            &[
                "Northwind Robotics", "Bluebarrel Foods", "Cobalt Street Media",
                "Peregrine Airlines", "Saltmarsh Biotech", "Tallgrass Energy Works",
                "Gearwhistle Software", "Halcyon Shipping", "Fernhill School District",
                "Driftwood Outfitters", "Marble Arch Hotels", "Sunward Optics",
            ],
            &[
                "operations director", "data analyst", "head of purchasing", "night-shift nurse",
                "project engineer", "copy editor",
            ],
        ),
        Kind::Business => (
            &[
                "a bakery", "a bike repair shop", "a bookkeeping practice", "a food truck",
                "a yoga studio", "a plant nursery", "a used bookstore", "a letterpress studio",
                "a coffee roastery", "a tutoring center",
            ],
            &["an LLC", "a sole proprietorship", "an S corporation"],
        ),
        Kind::Retirement => (
            &[
                "June {y+2}", "December {y+3}", "March {y+4}", "September {y+5}", "April {y+6}",
                "January {y+2}", "August {y+3}", "May {y+7}", "October {y+4}", "July {y+5}",
            ],
            &["part-time consulting", "a clean break", "one last bonus", "a phased schedule"],
        ),
        Kind::SocialSecurity => (
            &["62", "63", "64 and a half", "65", "66", "67", "68", "69", "70"],
            &["the survivor benefit", "longevity in the family", "the earnings limit"],
        ),
        Kind::Travel => (
            &[
                "Lisbon", "Patagonia", "Kyoto", "the Faroe Islands", "Nova Scotia", "Marrakesh",
                "the Dolomites", "Costa Rica", "Reykjavik", "Tasmania", "Santorini",
                "the Scottish Highlands", "Sri Lanka", "Banff", "Oaxaca", "Slovenia",
            ],
            MONTHS,
        ),
        Kind::Move => (
            &[
                "Port Amberly", "Silver Hollow", "Fort Lindley", "Cape Marrow", "Three Birches",
                "New Corinth", "Lake Osprey", "Mount Tansy", "Gull Harbor", "Sweetwater Bend",
            ],
            &[
                "fewer stairs", "milder winters", "a shorter commute", "lower property taxes",
                "being near old friends",
            ],
        ),
        Kind::ElderCare => (
            &[
                "Rosewood Commons", "Hawthorne House", "Meadowlark Manor", "Birchbrook Terrace",
                "Stillwater Place", "Goldenrod Village", "The Larches", "Quiet Harbor Residence",
            ],
            &["mother", "father", "mother-in-law", "father-in-law", "aunt"],
        ),
        Kind::Wedding => (
            &[
                "Savannah", "Santa Fe", "Bar Harbor", "Napa", "Charleston", "Key West", "Sedona",
                "Newport", "Asheville", "Galena",
            ],
            &["niece", "youngest sister", "stepson", "oldest nephew", "goddaughter"],
        ),
    }
}
