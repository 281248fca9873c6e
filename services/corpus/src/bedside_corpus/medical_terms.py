"""Our list of German medical word stems, in lower case, by where in a word they count.

German builds compounds, so a stem that no ordinary word contains counts anywhere ("karzinom" in
"Bronchialkarzinom"). A short stem counts only at the beginning, because it hides inside ordinary
words: "niere" in "funktionieren", "lunge" in "Handlungen". What is ambiguous in either place
(Operation, Prognose, Rezept, Pflege, Verletzung, ml) is left out: texts about medicine have enough
other words, and news and recipes do not become medical by it.

Tested in tests/corpus/test_medical_filter.py.
"""


def _stems(*groups: str) -> frozenset[str]:
    return frozenset(" ".join(groups).split())


ANYWHERE = _stems(
    # care, professions, the course of an illness
    """
    ambulant ambulanz anamnes arznei arzt chirurg diagnos erkrank hospital indikation injektion
    intensivstation klinik klinisch komorbid komplikation krankenh medikament medizin mortalität
    nebenwirk notaufnahme palliativ patient postoperativ prophyla präoperativ prävalenz rehabilit
    rezidiv risikofaktor symptom syndrom therap transplant ärzt
    """,
    # heart and vessels
    """
    aneurysma angina aorta aorten arrhythmi arterie carotis embol hyperton hypoton infarkt
    insuffizienz ischäm kardi koronar myokard schrittmacher sinusrhythmus stenose stenosier
    tachykard thromb
    """,
    # lungs and breathing
    """
    asthma atemnot atemweg auskult beatmet beatmung bronch dyspno exazerb husten inhalat inhalier
    pleura pneum pulmon sarkoid spirometr sputum thorakal thorax tracheo
    """,
    # stomach, bowel, liver
    """
    appendi aszites bauchspeichel duoden durchfall endoskop gastrit gastroent gastroint gastrosk
    gastroö helicobact hepat ileus kolorekt koloskop obstipation pankrea reflux schleimhaut
    sodbrennen speiseröhre stuhlgang verdauung zirrhose zöliak ösophag übelkeit
    """,
    # kidneys, urinary tract, women's medicine
    """
    anurie dialys diurese gebärmutter glomerul gynäk kreatinin miktion nephr plazent prostata
    schwanger urolog uterus
    """,
    # hormones and metabolism
    """
    albumin aldosteron azidose bikarbonat bilirubin cholesterin cortiso dehydrat diabet drüse
    elektrolyt endokrin glukose hormon hypophys insulin kalium ketoazid kochsalzl kortikoid kortiso
    laktat lipid natrium rehydrat schilddrüs steroid stoffwechsel struma testosteron thyr
    transaminas triglycer östrogen
    """,
    # nerves and mind
    """
    apople bewusstlos demenz depressiv encephal enzephal epilep gehirn lähmung meningi migräne
    parese parkinson parästhes psychiat psychos psychother schizo schlaganfall sklero spasti suizid
    tremor
    """,
    # infections and the immune system
    """
    abszess allergen allergi anaphyl antibiot antigen antikörp bakteri borreli covid entzünd fieber
    grippe infekt influenza legionell malaria masern mykose pathogen quarantäne salmonell
    schüttelfrost sepsis septisch serolog staphylo strepto tuberk vakzin
    """,
    # tumours and blood
    """
    adenom anämi bestrahlung bösartig ferritin fibrinogen gerinnung granuloz hämat hämoglob hämol
    hämorrh karzin krebs leukoz leukäm lymph malign melanom metasta myelom neutropen onkolog
    plasmazell plasmozyt sarkom tumor zytosta
    """,
    # bones, joints, injuries
    """
    amput arthr bandscheibe femur fraktur gelenke gelenks gipsverband humerus knochen kreuzband
    luxation meniskus muskel nekros orthop osteo prothese rheuma ruptur schwellung schädel verstauch
    wirbelsäule ödeme
    """,
    # skin, eyes, ears, children
    """
    dermat ekzem eryth exanth geburtshilf geriat glaukom hörsturz juckreiz katarakt makulad netzhaut
    neugeboren ophthal präeklamps psoria pädiatr säugling tinnitus trommelfell urtikaria windpocken
    """,
    # tests and imaging
    """
    angiogr biopsie blutung calcitonin echokard elektrokard histolog infiltrat katheter
    kontrastmittel laborwert liquorp läsion patholog punktion radiolog röntgen schmerz sonogr
    stethosk szintigr tomogra ultraschall zytolog
    """,
    # drugs and treatments
    """
    amiodaron amlodipin analget angiotensin antidepress antikoag anästh aspirin azepam betablocker
    bisoprolol budesonid carbamazepin cefazol ceftri cefuro cillin cisplatin clopidogrel dexameth
    diclofenac digitoxin diuret dopamin dosier dosis ezetimib furosemid heparin hydrochloro
    ibuprofen infusion intubat intubier levetira levodopa marcumar metamizol metformin methotrex
    metoprolol morphin mycin naproxen narkose opioid oxacin pantoprazol paracetamol penicill
    phenprocoumon prednis propofol ramipril rezeptor salbutamol salicyl sedier spironol tablette
    tamoxifen torasemid valproat wirkstoff
    """,
)
"""Count wherever they stand in a word."""

BEGINNING = _stems(
    """
    atemfreq atemger atemzug atmung augenheil autoimmun befund blasenentz blut chronisch darm delir
    eiter eitri embryo erbrech fetal gallenb gallens gallenw gefäßv gefäßw geimpf harn haut herz
    hirn immun impf intraven kalzium krampfad krampfanf krank lebensmittelverg leber lunge magen
    milz nabel nebennier nerven neuro niere operations operiert perito perkut polytrauma rektal
    renal rhythmusst schwindelg subkut tetanus tonsill trauma uräm venen ventrik venös virus vorhoff
    wundh wundi wundv zyanos zyst ödem
    """,
)
"""Count at the beginning of a word only."""

ENDING = _stems(
    """
    darm ektomie gelenk gliflozin gliptin hirn itiden itis krampf kämie kämien liämie liämien lunge
    olol opathie prazol sartan skopie statin stomie tomie triämie triämien xaban ximab zumab zämie
    """,
)
"""Count at the end of a word only."""

WHOLE = _stems(
    """
    abdomen aids alat asat bga bmi copd crp ct dl eeg egfr ekg gfr ggt hiv hno inr khk ldh lvef mcg
    mellitus mg mmhg mmol morbus mrt nyha pcr puls tsh zns µg µmol μg μmol
    """,
)
"""Count as whole words: units and the abbreviations of clinics."""

NEVER = _stems(
    """
    befunden blutbad blutdurst blutig blutjung blutrot blutrünst bluttat darmstadt darmstädt gendarm
    harnisch haute hautnah herzblut herzeg herzeleid herzens herzerwärm herzhaft herzig herzlich
    herzog herzstück herzu kardinal kardinäl leberknöd leberkäs leberwurst schmerzlich
    """,
)
"""Beginnings of ordinary words that one of the lists above would take."""
