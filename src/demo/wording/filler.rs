//! Everything in a mail that is no fact: greetings, small talk, logistics, circulars.
//!
//! Promises: nothing here tells a fact of any [`Kind`](crate::demo::facts::Kind) about a client, so
//! a sentence from here can stand anywhere without making a source relevant.

pub const OPENERS: &[&str] = &[
    "Hi Alex,",
    "Dear Alex,",
    "Hello Alex,",
    "Alex,",
    "Good morning Alex,",
    "Hi there Alex,",
    "Dear Mr. Morgan,",
    "Good evening Alex,",
];

pub const SUBJECTS: &[&str] = &[
    "Checking in",
    "A few things",
    "Quick note",
    "Hello",
    "Following up",
    "Since we last spoke",
];

pub const SMALL_TALK: &[&str] = &[
    "Hope you had a good weekend.",
    "Thanks again for your time the other day, it cleared up a lot.",
    "The weather here can't make up its mind.",
    "I hope this finds you well.",
    "Sorry for being slow, it has been one of those weeks.",
    "It was good to hear your voice on the phone.",
    "I kept meaning to write and then the week was over.",
    "You explained the statement so well last time that I've even read this one.",
    "No hurry with any of this.",
    "The neighbors say hello, by the way.",
    "I'm writing from my phone, so excuse the typos.",
    "It rained for three days and I finally cleared my desk.",
    "Your last letter was passed around the table here, in the best sense.",
    "It's quiet here for once, so I'm catching up on mail.",
    "I owe you an answer to two messages, this is the first.",
    "The power was out all morning, so this comes later than promised.",
    "Please thank whoever answered the phone yesterday, very patient person.",
    "I had this half written for a week.",
    "First things first: the chart you drew is still on the fridge.",
    "Nothing dramatic, just an update.",
];

pub const LOGISTICS: &[&str] = &[
    "The signed form is in the mail to you.",
    "The portal asked me for a new password again, could somebody look at that?",
    "I'll upload the papers tonight.",
    "Mornings are best if you want to call.",
    "Please keep using this address, I hardly read the other one.",
    "Let me know if you need a signature.",
    "I left a message with your office as well.",
    "The statement for last quarter arrived, thank you.",
    "You can reach me on the usual number.",
    "Could you put this on the list for when we next talk?",
    "If there is a form for that, send it over.",
    "I'd like to understand it before anything is signed.",
    "If it's easier, put your answer into the portal.",
    "There's no need to call back today.",
    "I'm at my desk until five most days.",
    "Should there be anything to sign, two copies please.",
    "Feel free to forward this to whoever handles it.",
    "I've kept a copy of this for my own folder.",
    "Would you confirm that this reached you?",
    "The summary you sent in the spring was very clear, something like that would do.",
];

/// Paragraphs that make a long mail long.
pub const PARAGRAPHS: &[&str] = &[
    "First of all, thank you for the long call. I wrote down more than I understood, and some of \
     it only made sense after I'd slept on it. You said that the plan is a living document and I \
     have decided to believe you.",
    "I went through the quarterly report line by line with a pencil. There are two numbers that I \
     can't match with my own list, both small, and I suspect that the timing of the dividends \
     explains it. I'll mark them and send a picture.",
    "About the portal: I can log in now, but the documents tab stays empty in my browser. It works \
     on the tablet. If somebody at your end could have a look, I'd be grateful, and if not I'll \
     live with the tablet.",
    "You asked how I feel about risk after this quarter. About the same, to be honest. I looked at \
     the balance twice and then went for a walk, which is progress compared with other years.",
    "I still owe you the questionnaire. It lies on the kitchen table under a pile of mail, and half \
     of it is filled in. The questions about how I'd react in a downturn are harder than they look.",
    "The new fee schedule is clear to me. I appreciate that you sent it before I had to ask. My only \
     wish would be to see the amount in dollars next to the percentage.",
    "The beneficiary forms came back from the custodian because a date was missing. I've filled it \
     in and will send them again on Monday, this time with a copy to you.",
    "There was a suspicious call from somebody who claimed to be from your office. I gave no \
     information and hung up. You may want to warn other people, it sounded quite professional.",
    "I also cleaned up the old folders and found statements from accounts that I had forgotten. \
     They're closed, as far as I can tell, but I'd feel better if you had a look at the list.",
    "One more thing on the cash flow worksheet: I split the category for household costs in two, \
     because groceries and everything else behave so differently. I hope that doesn't upset your \
     formulas.",
    "Reading your letter about the market I wondered how you keep so calm. It helped, in any case. I \
     forwarded it to nobody, as you asked at the bottom of the page.",
    "We should find a better time for the calls than noon. Late afternoon is calmer for me on most \
     days, except the last one of the month.",
];

pub const CLOSERS: &[&str] = &[
    "Best,",
    "Many thanks,",
    "Warm regards,",
    "Thanks,",
    "All the best,",
    "Kind regards,",
    "Cheers,",
    "Talk soon,",
];

/// The advisor's answers to a client who told something; they repeat nothing of it.
pub const ACKNOWLEDGEMENTS: &[&str] = &[
    "Thank you for letting me know. It's in your file now and I'll take it into account.",
    "Good to hear from you. Let me look into it and come back to you this week.",
    "Noted, and thank you for telling me early. That always makes it easier.",
    "Thanks. I'll run the numbers and send you a short summary before we decide anything.",
    "That is helpful. Nothing to do for you at this point, I'll take it from here.",
    "I appreciate the detail. Let's give this ten minutes in our next conversation.",
    "Understood. I'll check what it means for the plan and write again.",
    "Thanks for the trust. I'll keep this between us and the file.",
    "Got it. If anything changes, a line is enough.",
    "Very good. I've made a note and set myself a reminder for next month.",
];

pub const THANKS: &[&str] = &[
    "Perfect, thank you!",
    "Great, that's all I needed.",
    "Thanks for the quick answer. I'll wait to hear from you.",
    "Sounds good to me.",
    "Thank you, Alex. I feel better about it now.",
    "Much appreciated. No further questions for today.",
    "Will do. Thanks!",
];

pub const LAST_WORDS: &[&str] = &[
    "Any time. Have a good rest of the week.",
    "You're welcome. I'm here if anything comes up.",
    "Done. You'll see it in the portal tomorrow.",
    "Glad to help. Talk soon.",
];

/// How the advisor begins a mail that asks.
pub const ASK_OPENERS: &[&str] = &[
    "I'm updating your file and one thing is missing.",
    "A short question, whenever you have a minute.",
    "Going through my notes from our last call I found a gap.",
    "Before I finish your summary I need one thing from you.",
];

pub const ASK_SUBJECTS: &[&str] = &[
    "A question for your file",
    "One more thing",
    "Before our next talk",
    "Your file",
    "Something I forgot to ask",
];

/// How a client begins an answer.
pub const REPLY_OPENERS: &[&str] = &[
    "Thanks for asking!",
    "Good question.",
    "Sure, here you go.",
    "Sorry, I thought I had told you.",
    "Of course.",
    "Happy to answer.",
];

pub const CONFIRMED: &[&str] = &[
    "Works for me, see you then.",
    "It's in my calendar, thanks.",
    "Looking forward to it.",
    "Thank you for the reminder, that day is fine.",
];

/// What else the advisor notes after a call.
pub const ASIDES: &[&str] = &[
    "Asked for the statement on paper.",
    "Sounded relaxed.",
    "Wants to hear from me before the end of the month.",
    "Question seven of the questionnaire is still open.",
    "Portal works again.",
    "Short call, in good spirits.",
    "Went through the quarterly report together.",
    "Will send the beneficiary forms back this week.",
    "Happy with the summary letter.",
    "Prefers late afternoon for calls.",
    "Asked twice about the fee schedule; sent it again.",
    "Left a voice mail first, called back within the hour.",
];

/// Whole conversations without a fact: subject, then alternately client and advisor.
pub const CONVERSATIONS: &[(&str, &[&str])] = &[
    (
        "Portal login",
        &[
            "I can't get into the portal since this morning. It says that the code has expired, and then it sends no new one.",
            "Sorry about that. I've asked for a reset; you should get a message within the hour. Please tell me if it doesn't come.",
            "It came, and it works. Thank you!",
            "Wonderful. Enjoy the rest of the day.",
        ],
    ),
    (
        "Quarterly statement",
        &[
            "I seem to have two statements for the same quarter, one with a different total on page three. Which one is right?",
            "The second one replaces the first, a dividend was posted late. You can shred the first.",
            "Shredded. Thanks for the quick word.",
        ],
    ),
    (
        "Signature needed",
        &[
            "Your office sent me a form without saying where to sign. Is it the second page or all of them?",
            "Only the second page, next to the small cross. The rest is for your records.",
            "Signed and sent back. It should be with you by Thursday.",
            "Received, thank you. I'll file it today.",
            "Great!",
        ],
    ),
    (
        "Phone call this week?",
        &[
            "Do you have ten minutes on the phone this week? Nothing urgent, I'd just like to go over the summary.",
            "Gladly. Thursday after three or Friday before ten would suit me.",
            "Friday at nine, then. I'll call you.",
        ],
    ),
    (
        "Fee schedule",
        &[
            "Could you send me the current fee schedule? I can't find mine and would like to have it with my papers.",
            "Attached to the next message from the portal. The short version: nothing has changed since last year.",
            "Found it, thanks.",
        ],
    ),
    (
        "Strange call",
        &[
            "Somebody called and said they were from your custodian, and wanted my date of birth. I said no. Was that right?",
            "Exactly right. The custodian never asks that by phone. I've reported the number.",
            "Good. I was a little proud of myself.",
            "You should be!",
        ],
    ),
    (
        "Risk questionnaire",
        &[
            "I've filled in the questionnaire as well as I could. Question seven made no sense to me, so I left it open.",
            "Question seven puzzles everybody. We'll do it together when we talk, the rest looks complete.",
        ],
    ),
    (
        "Beneficiary forms",
        &[
            "The beneficiary forms came back with a sticker on them. Apparently a date is missing.",
            "Yes, on the last page at the bottom. Fill it in, put your initials next to it and send it straight back to them.",
            "On its way. Sorry for the trouble.",
            "No trouble at all.",
        ],
    ),
    (
        "Market jitters",
        &[
            "The news sounds dreadful today. Should I be doing anything?",
            "Short answer: no. Your plan expects weeks like this one. The longer answer is in the letter I send on Friday.",
            "That's what I hoped to hear. Back to work, then.",
        ],
    ),
    (
        "Paper or electronic",
        &[
            "Is it possible to get the yearly documents on paper again? I know that it's old-fashioned.",
            "Not old-fashioned at all. I've ticked the box, and from next quarter on they come in the mail.",
            "Lovely, thank you.",
        ],
    ),
];

/// Circulars to the advisor: full of the topics, about nobody.
pub const CIRCULARS: &[(&str, &str)] = &[
    (
        "Market letter: technology leads again",
        "Large technology names carried the index this week. AAPL closed higher after its developer event and NVDA gave back some of its gains. Breadth remains narrow, and valuations leave little room for disappointment.",
    ),
    (
        "Five things to know about 529 plans",
        "Contributions to a 529 plan grow free of federal tax when they are used for qualified education. States differ in their deductions, and unused amounts may be rolled over within limits.",
    ),
    (
        "Roth conversions: the window narrows",
        "A Roth conversion is taxed as income in the year in which it is made. Advisors should look at brackets, Medicare surcharges and the five-year rule before the end of December.",
    ),
    (
        "RMD season is here",
        "Custodians have begun mailing the required distribution letters. The penalty for a missed withdrawal has come down but is still painful; early planning avoids it.",
    ),
    (
        "Mortgage rates at a glance",
        "Thirty-year fixed rates moved sideways. Borrowers with older loans have little reason to refinance, while buyers are looking at points and adjustable offers.",
    ),
    (
        "Practice management: the annual review",
        "What clients remember of a review is whether they were listened to. Three advisors describe how they prepare, and what they have stopped doing.",
    ),
    (
        "Social Security: claiming strategies",
        "Each year of delay between full retirement age and 70 adds about eight percent. Couples should look at the survivor's benefit before the break-even age.",
    ),
    (
        "Long-term care: what it costs",
        "The median price of a private room has risen again. Hybrid policies are popular, but their terms deserve a slow reading.",
    ),
    (
        "Index funds turn fifty",
        "From a curiosity to the core of most portfolios: broad index funds now hold more than half of domestic equity assets, and their fees keep falling.",
    ),
    (
        "Charitable giving after the reform",
        "Bunching gifts through donor-advised funds remains the simplest tool for those near the standard deduction. Appreciated securities still beat cash.",
    ),
    (
        "Cybersecurity bulletin",
        "Criminals imitate custodians on the phone with growing skill. Remind everyone that nobody legitimate asks for a one-time code.",
    ),
    (
        "Estate planning checklist",
        "Names on accounts override names in wills. A yearly look at titles, beneficiaries and trustees prevents most of the sad surprises.",
    ),
];

pub const REVIEWS: &[&str] = &[
    "Annual review",
    "Planning meeting",
    "Portfolio review",
    "Check-in",
];

pub const PLACES: &[&str] = &[
    "Morgan Advisory, Room 2",
    "Café Juniperus",
    "Video call",
    "Morgan Advisory, front office",
    "Old Mill Tea House",
    "Telephone",
    "The Copper Kettle",
];

pub const AGENDAS: &[&str] = &[
    "beneficiary forms and the fee schedule",
    "risk questionnaire, question seven",
    "cash flow worksheet",
    "account titles and signatures",
    "document vault and portal access",
    "closing of dormant accounts",
    "rebalancing bands",
    "the summary letter and its footnotes",
];
