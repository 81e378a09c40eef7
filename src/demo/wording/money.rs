//! Words for holdings, loans, accounts and what comes in and goes out.

use super::Wording;
use crate::demo::facts::Kind;

pub(super) const WORDINGS: &[Wording] = &[
    Wording {
        kind: Kind::SellStock,
        topic: "selling shares",
        subjects: &["My {d} shares", "Selling {d}", "A question about {d}"],
        asks: &[
            "Before I enter the order: which shares is it about, and what is the reason for the sale?",
            "You spoke of selling something. Help me understand what and why, so that we pick the right lots.",
        ],
        mails: &[
            "I'd like to sell my {d} shares. The reason is simple, I want to {v}.",
            "Please sell the {d} position this month; we need the money to {v}.",
            "I know you'll say wait, but I want out of {d} in order to {v}.",
            "We talked it over at home and will let go of {d}. It lets us {v}, and that matters more.",
            "How much tax would a sale of all my {d} shares cost? I mean to {v}.",
            "My mind is made up about {d}: sell, so that I can {v}.",
            "Could you sell half of {d} first? With the proceeds I'm going to {v}.",
        ],
        notes: &[
            "{name} wants to sell {d} to {v}. Check lots and tax first.",
            "Call with {first}: sell {d}; reason: to {v}.",
        ],
        plain: &[
            "Why did {name} want to sell the {d} shares?",
            "What is the reason {name} gave for wanting to sell {d}?",
        ],
        oblique: &[
            "What motivates the {last} client to liquidate an equity holding?",
            "For which purpose does Mr or Mrs {last} unload a single company's stock?",
            "What goal stands behind the {last} household getting rid of equities?",
        ],
        who: &[
            "Who wants to sell their {d} shares?",
            "Which clients asked me to sell {d}?",
        ],
    },
    Wording {
        kind: Kind::BuyFund,
        topic: "buying a fund",
        subjects: &["Idle cash", "A fund I read about", "Where to put {d}"],
        asks: &[
            "Which fund did you have in mind for the idle cash?",
            "Do you have a fund in mind, and how much should go in?",
        ],
        mails: &[
            "I've been reading about {v} and would like to put {d} there.",
            "Please buy {v} for {d} in the joint account.",
            "My colleague swears by {v}. Would {d} be too much?",
            "There's {d} of idle cash in the account; couldn't it go into {v}?",
            "Let's keep it simple, {d} into {v}, and I won't look at it for ten years.",
            "Is the expense ratio of {v} really that low? If so I'd invest {d}.",
        ],
        notes: &[
            "{name} wants {d} invested in {v}.",
            "Buy order for {first}: {v}, {d}, joint account.",
        ],
        plain: &[
            "Which fund does {name} want to put {d} into?",
            "What fund did {name} ask me to buy with the idle cash?",
        ],
        oblique: &[
            "Which ticker symbol caught the {last} investor's interest?",
            "What security should we purchase on behalf of Mr or Mrs {last}?",
            "Where would the {last} household like spare dollars deployed?",
        ],
        who: &["Who wants to buy {v}?", "Which clients asked about {v}?"],
    },
    Wording {
        kind: Kind::Roth,
        topic: "a Roth conversion",
        subjects: &[
            "Roth conversion",
            "Conversion before year end",
            "Taxes now or later",
        ],
        asks: &[
            "How much would you like to convert to the Roth this year?",
            "Shall we fix the amount for the Roth conversion?",
        ],
        mails: &[
            "Let's convert {v} from {d} to the Roth this year.",
            "For the Roth conversion I'd go with {v} out of {d}, and pay the tax from savings.",
            "If the bracket allows, I want {v} of {d} moved into the Roth.",
            "I ran the numbers twice: converting {v} keeps us under the threshold. It should come from {d}.",
            "Please prepare the Roth forms, {v}, from {d}.",
            "My tax software is happy with a conversion of {v}. The source is {d}, as discussed.",
        ],
        notes: &[
            "{name}: Roth conversion of {v} from {d}.",
            "Convert {v} for {first}, {d} to Roth, before December.",
        ],
        plain: &[
            "How much does {name} want to convert to the Roth?",
            "What amount is the Roth conversion of {name}?",
        ],
        oblique: &[
            "What sum of pre-tax retirement money does Mr or Mrs {last} wish to shift into an after-tax bucket?",
            "How big a switch toward tax-free growth did the {last} household request?",
            "How many dollars leave the tax-deferred pot belonging to the {last} client?",
        ],
        who: &["Who is converting {v} to a Roth?"],
    },
    Wording {
        kind: Kind::Rmd,
        topic: "a required distribution",
        subjects: &["My RMD", "Required distribution", "The custodian's letter"],
        asks: &[
            "What does the custodian's letter say the RMD comes to, and where should it go?",
            "Do you have the RMD figure for this year?",
        ],
        mails: &[
            "The custodian's letter says my RMD is {v} this year. Please send it to {d}.",
            "I'd like the required distribution, {v}, paid into {d}.",
            "For the RMD I calculated {v}; you may correct me. It goes to {d}.",
            "Can the whole RMD of {v} wait until December and then land in {d}?",
            "They make me take out {v} as the required distribution. Into {d} with it.",
            "My RMD grew again, to {v}. As in other years I want it in {d}.",
        ],
        notes: &[
            "{name}: RMD {v}, to {d}.",
            "RMD for {first} comes to {v}, pay into {d}.",
        ],
        plain: &[
            "How much is the RMD of {name}?",
            "What required distribution does {name} have to take?",
        ],
        oblique: &[
            "What mandatory withdrawal does the tax code force upon Mr or Mrs {last}?",
            "How many dollars must the elderly {last} client pull from retirement savings annually?",
            "What compulsory payout is the {last} senior obliged to accept?",
        ],
        who: &["Whose RMD is {v}?"],
    },
    Wording {
        kind: Kind::Mortgage,
        topic: "a mortgage",
        subjects: &["Mortgage", "Refinance?", "Rate lock"],
        asks: &[
            "What rate is the bank offering on the mortgage?",
            "Which bank is the mortgage with, and at what rate?",
        ],
        mails: &[
            "{d} offers us a mortgage at {v}. Should we lock?",
            "We are refinancing with {d}, the rate is {v} for thirty years.",
            "The mortgage with {d} closed on Friday, {v} fixed.",
            "Is {v} good? That's the rate {d} quoted for our mortgage.",
            "We pay {d} a mortgage at {v}, and I wonder whether to pay it down early.",
            "The letter from {d} says {v}, fixed, and the rate lock ends in ten days.",
        ],
        notes: &[
            "{name}: mortgage with {d} at {v}.",
            "{first} locked a rate of {v} at {d}.",
        ],
        plain: &[
            "What mortgage rate does {name} have with {d}?",
            "At what rate is {name}'s mortgage?",
        ],
        oblique: &[
            "How much interest does the {last} home loan carry?",
            "What percentage does borrowing against the property cost Mr and Mrs {last}?",
            "On which terms did a lender finance the {last} residence?",
        ],
        who: &["Who has a mortgage with {d}?", "Who got a mortgage at {v}?"],
    },
    Wording {
        kind: Kind::LifeInsurance,
        topic: "life insurance",
        subjects: &["Life insurance", "Coverage", "The policy"],
        asks: &[
            "How much is the life insurance policy for?",
            "Could you look up the coverage on your policy, and the insurer?",
        ],
        mails: &[
            "The life insurance policy with {d} is for {v}. Is that enough?",
            "I found the policy in a drawer: {d}, {v} of coverage.",
            "We took out {v} of life insurance at {d} when we bought the house.",
            "{d} approved me for {v}, the medical exam went fine.",
            "Would you let the policy from {d} lapse? The coverage is {v}.",
            "Our coverage is {v} for each of us, through {d}, and the premium goes up in May.",
        ],
        notes: &[
            "{name}: life insurance {v}, {d}.",
            "Policy of {first} with {d}: coverage {v}.",
        ],
        plain: &[
            "How much life insurance coverage does {name} have with {d}?",
            "What is the coverage of {name}'s life insurance policy?",
        ],
        oblique: &[
            "What death benefit would the {last} survivors receive?",
            "What payout protects the {last} dependents should somebody die?",
            "How large a sum is the {last} breadwinner insured at?",
        ],
        who: &[
            "Who has life insurance with {d}?",
            "Who has {v} of life insurance?",
        ],
    },
    Wording {
        kind: Kind::Inheritance,
        topic: "an inheritance",
        subjects: &[
            "An inheritance",
            "From the estate",
            "Sad news, and a question",
        ],
        asks: &[
            "My condolences. What did you inherit?",
            "Do you know yet what comes to you from the estate?",
        ],
        mails: &[
            "My {d} passed away and left me {v}. What do I do first?",
            "I've inherited {v} from my {d}, and I have no idea what it is worth.",
            "The will of my {d} was read on Monday. I get {v}.",
            "You won't believe what my {d} left us: {v}.",
            "The estate of my {d} is settled, and {v} is now in my name.",
            "Would selling {v} be taxed? It was left to me by my {d}.",
        ],
        notes: &[
            "{name} inherited {v} from a {d}. Step-up in basis!",
            "Inheritance of {first}: {v}, left by the {d}.",
        ],
        plain: &[
            "What did {name} inherit from the {d}?",
            "What was {name} left in the will of the {d}?",
        ],
        oblique: &[
            "Which asset passed to the {last} heir?",
            "What bequest came the way of Mr or Mrs {last} following a death?",
            "What windfall did a deceased relative bestow upon the {last} household?",
        ],
        who: &["Who inherited {v}?", "Which client was left {v}?"],
    },
    Wording {
        kind: Kind::Charity,
        topic: "charitable giving",
        subjects: &["Giving", "A donation", "Charity this year"],
        asks: &[
            "Which charity is it this year, and how would you like to give?",
            "Who should receive the donation?",
        ],
        mails: &[
            "We would like to give to {v} this year, through {d}.",
            "I have joined the board of {v}, and we want to support it with {d}.",
            "Our donation goes to {v}. You suggested {d}, is that still best?",
            "Please arrange a gift for {v} by means of {d}.",
            "After what {v} did for us we'd like to give back. Would {d} be the right way?",
            "For charity we'll keep to one cause, {v}, and use {d}.",
        ],
        notes: &[
            "{name} donates to {v} with {d}.",
            "Charity of {first}: {v}; {d}.",
        ],
        plain: &[
            "Which charity does {name} want to give to?",
            "Where does the donation of {name} go?",
        ],
        oblique: &[
            "Which nonprofit benefits from the generosity of Mr or Mrs {last}?",
            "What philanthropic organization do the {last} spouses favor?",
            "What good works are close to the {last} household's heart?",
        ],
        who: &["Who gives to {v}?", "Which clients donate to {v}?"],
    },
];
