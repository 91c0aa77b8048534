"""The small words of languages: articles, pronouns, prepositions, auxiliary verbs and the words that questions begin with.

No sentence does without them, and they tell nothing of what it is about. As they are written, in small letters.
"""

from collections.abc import Mapping

FUNCTION_WORDS: Mapping[str, frozenset[str]] = {
    language: frozenset(words.split())
    for language, words in {
        "en": """a about all also am an and any are as at be been being but by can could did do does doing for from had has have
            having he her hers him his how i if in into is it its itself just me more most my no nor not of off on once only or
            other our out over own same she should so some such than that the their them then there these they this those through to
            too under until up very was we were what when where which while who whom why will with would you your d don ll m re s t
            ve""",
        "de": """aber alle allem allen aller alles als also am an auch auf aus bei beim bereits bin bis da damit dann darf das dass
            dein deine dem den denen denn der deren des dessen dich die dies diese diesem diesen dieser dieses dir doch dort du
            durch dürfen ein eine einem einen einer eines er es etwas euch für gegen gegenüber gibt hab habe haben hat hatte hatten
            heißen heißt hier hinter ich ihm ihn ihnen ihr ihre ihrem ihren ihrer im immer in ins ist ja jede jedem jeden jeder
            jedes kann kein keine keinen keiner können könnte mag man mehr mein meine meinem meinen meiner mich mir mit muss möchte
            müssen nach neben nicht noch nun nur ob oder ohne schon sehr sein seine seinem seinen seiner seit sich sie sind so soll
            sollen sollte sondern um und uns unser unsere unserem unseren unserer unter vom von vor wann war waren warum was wegen
            weil welche welchem welchen welcher welches wem wen wenn wer werde werden wessen wie wieder wieso wieviel will wir wird
            wo wobei wofür woher wohin wollen womit worden wurde wurden während zu zum zur zwischen über""",
        "fr": """ai appelle appellent après as au aucun aucune aussi aux avait avant avec avez avons c ce cela ces cet cette ceux
            chaque chez combien comme comment contre d dans de depuis des doit donc dont du elle elles en encore entre est et eu eux
            fait faut il ils j je l la laquelle le lequel les lesquels leur leurs lui m ma mais me mes moi mon même n ne ni nos
            notre nous on ont ou où par pas pendant peut plus pour pourquoi près qu quand que quel quelle quelles quels qui quoi s
            sa sans se sera ses si soit son sont sous sur t ta te tes toi ton toujours très tu un une va vers vos votre vous y à ça
            était été être""",
        "es": """a al algo alguna algún ante antes aquí así aún cada como con contra cual cuando cuál cuáles cuándo cuánta cuánto
            cuántos cómo de del desde después donde dos durante dónde e el ella ellas ellos en entre era es esa ese eso esta estas
            este esto estos estoy está están fue fueron ha había hace hacen han hasta hay he la las le les llama llaman lo los me mi
            mis muy más ni no nos nosotros nuestra nuestro nunca o para pero por porque puede pueden que quien quién quiénes qué se
            sea ser si siempre sin sobre son soy su sus sí también te tengo tiene tienen tu tus un una uno unos usted y ya yo él""",
        "it": """a ad ai al alla alle allo anche ancora avere c che chi chiama chiamano ci ciò col come con contro cosa cui da dai
            dal dalla dalle de dei del della delle dello di dobbiamo dopo dove e ed era essere fra gli ha hai hanno ho i il in io l
            la le lei li lo loro lui ma mentre mi mia mie miei mio ne nei nel nella nelle noi non nostra nostri nostro o per perché
            più prima può qual quale quali quando quanta quanto quella quello questa questi questo quindi se sei sempre si sia siamo
            sono su sua sue sugli sul sulla suo suoi ti tra tu tua tuo un una uno vi voi è""",
        "pt": """a ainda antes ao aos as até cada chama chamam com como contra da das de dela dele deles depois desde do dos durante
            e ela elas ele eles em entre era essa esse esta este está estão eu foi foram há isso isto já lhe mais mas me meu meus
            minha minhas muito na nas nem no nos nossa nosso nunca não o onde os ou para pela pelas pelo pelos pode por porque
            porquê quais qual quando quanto quantos que quem se sem sempre ser seu seus sua suas são só também te tem temos tenho
            teu tu tua um uma você vocês à às é""",
        "nl": """aan achter al als altijd bij dan dat de der deze die dit doen door dus echter een en er ge geen had heb hebben hebt
            heeft heet hem het heten hier hij hoe hoeveel hun ik in is ja je jij jou jouw jullie kan kunnen maar me met mij mijn
            moet moeten na naar niet nog nooit nu of om omdat ons onze ook op over sinds te tegen tijdens toch toen tot tussen uit
            van veel voor waar waarom wanneer want waren was wat we wel welk welke werd wie wij worden wordt zal ze zich zij zijn zo
            zonder zou""",
        "sv": """all alla allt alltid att av bland blev bli blir blivit dag de dem den denna deras dess dessa det detta dig din dina
            ditt du där därför då efter eller en er era ert ett fast fick finns fram från få får för före ge genom gör göra ha hade
            han hans har hela henne hennes hon honom hos hur hör i icke igen in inga ingen inget innan inom inte ja jag ju kan kom
            kommer kunna lite man med medan mellan men mer mest mig min mina mitt mot mycket måste ni nog nu när någon något
            några nån och också om oss på sade samma samt sedan sig sin sina sitt ska skall skulle som så sådan till tills under ut
            utan vad var vara varför varit varje vars vart vem vems vet vi vid vilka vilken vilket vill vår våra vårt är även åt
            över""",
        "da": """af aldri aldrig alle alltid alt altid anden andet andre at av bare ble blev bli blir blitt blive bliver både bør da
            de dem den denne der dere deres derfor det dette dig din dine dit ditt dog du efter eller en end enn er et etter fik
            fikk for fordi fra få får før først gennem gjennom gjør gjøre gå går gør gøre ha hadde ham han hans har havde have hele
            helt hende hendes henne hennes her hjem hos hun hva hvad hvem hver hvilke hvilken hvilket hvis hvor hvordan hvorfor
            hvorhen hvornår i igen igjen ikke ind ingen inn intet jeg jer jeres jo kan kom kun kunne lige ligger litt man mange med
            meg meget mellem mellom men mens mer mere mest mig min mine mit mitt mod mot mye må måske ned nei noe noen nogen noget
            nogle nok nu nå når og også om op opp os oss over på samme sammen seg selv sig sin sine sit sitt skal skulle som stadig
            så sådan sånn ti til tilbage tilbake ud uden under ut uten var ved vet vi vil ville vor vores vår våre vårt være været
            vært""",
        "fi": """aina alla alle ansiosta ei eikä eikö eivät eli ellei emme en enemmän ennen ensin entä enää eri että he heidän
            heille heitä hän häneltä hänen hänet häntä ihan ilman itse ja jo johon joiden joissa joita joka jokainen joku jolla
            jonka jos joskus jossa josta jota jotain jotakin jotka jotta juuri kai kaikki kanssa kautta keitä kenelle kenellä kenen
            kenet ketkä ketä koko koneella koska koskaan kuin kuinka kuitenkin kuka kun kuten kyllä lisäksi luona me meidän meille
            meillä meistä meitä mihin miksi mikä mikään millainen millaista milloin millä minkä minkälainen minne minua minulla
            minulle minun minut minä missä missäpä mistä miten mitkä mitä molemmat montako mukaan mutta muut myös ne niiden niin
            niistä niitä noin noista nuo nyt näin näitä nämä ole olemme olen olet oletko olette oli olimme olin olisi olivat olla
            ollaan ollut on onko onpa ovat ovatko paljon paljonko pitäisi pitää pitääkö päälle saa saako saisiko se sekä sen siellä
            siihen siinä siis siitä sille sillä sinua sinulla sinun sinut sinä sitten sitä taas tai te teidän tuo tuon tuossa tällä
            tämä tämän tänne tässä tästä tätä täytyy vaan vai vaikka vain vastaan vielä voi voiko voin voisiko voivat yhteen yli""",
        "pl": """a aby albo ale ani bardzo bez bo by byli być był była było chce chcę chyba ci co coś czego czy czyj czym często dla
            dlaczego do dokąd dotąd dzięki gdy gdzie go i ich ile im iż ja jak jaka jaki jakich jakie jakiego jakiej jaką jeden
            jedna jego jej jemu jest jestem jesteś jesteśmy jeszcze jeśli jeżeli już każda każdy kiedy kim kogo komu kto która które
            którego której który których którzy którą lub ma mają mam mamy masz mi mieć między mnie mogą moja moje mojego mojej moją
            może możemy można mu musi musimy my mój na nad najpierw nam nami nas nasz nasza nasze naszego naszej nic nich nie niech
            nigdy nim niż no o od on ona oni oraz po pod podczas pomiędzy ponieważ powinien powinna powinno przed przez przy się
            skąd sobie swoje swojego swoją swój są ta tak taka taki także tam te tego tej ten to tobie tu twoja twoje twój ty tych
            tylko tym tą tę u w we według więc wokół wszystkie z za zawsze ze żaden żadna że żeby""",
        "cs": """a aby ale ani ano asi až bez bude budou by bych byl byla byli bylo být chce chci co do ho i jak jakou jaká jaké
            jaký je jeho jej jejich její jemu jen jenom ještě ji jich jim již jsem jsi jsme jsou jste já jí k kam kde kdo kdy kdyby
            když ke kolem kolik komu kterou která které kterého který kteří kvůli mají mezi mi mne mně moc mohou moje musí musíme my
            má mám máme máš mít mě můj může můžeme můžu na nad naše našeho naší ne nebo nejdřív nejprve nemůžu není než nic nikdy
            nám nás náš o od on ona oni po pod podle pokud potom pro proti protože proč před přes při s se si svou své svůj ta tak
            taky také tam tato te tedy ten tento ti to toho tom tomu toto tu tuto tvoje tvůj ty tím u už v vaše ve vám vás však vždy
            z za zatím ze čeho čem či čí že""",
        "hr": """a ako ali bez bi bih bila bili bilo bio bismo biste biti da do dok dosad ga gde gdje god hoće i iako ih ili im ima
            imaju imam imamo ispod iz iza iznad ja je jedan jer jesam jesi jesu joj još ju kad kada kakav kako kakva kakve kakvo
            kamo kao kod koga koja koje kojeg kojem koji kojim koju koliko komu kroz li me mene meni mi mogu moj moja moje mojeg
            mora moramo može možemo mu na nad nakon nam nama nas naš naša naše našeg ne nego neka ni nije nikad nisam nismo nisu nje
            njega njegov njegova njen njezin njihov njima njoj njom o od oko on ona oni ono ova ovaj ovo po pod pored poslije prema
            pri prije protiv prvo sa sam samo se si smo ste su sve svi svoj svoje svoju ta taj tako također tamo te ti tko to tom
            treba tu tvoj tvoja u uvijek uz vam vas vaš vaša već vi za zatim zašto zbog će ćemo ćeš ću čega čemu čija čije čiji šta
            što""",
        "ro": """a acea aceasta aceea acel acela acest acesta aceste acestea acestei acestui acolo acum ai aici al ale am ar are
            asta astfel atunci au avea avem aveți aș așa ba ca care ce cea cei cel cele cere chiar ci cine cu cui cuiva cum când cât
            câte câtă câți că căreia cărui da dacă dar de deci deja despre din dintre doar după e ea ei el ele era erau este eu face
            fi fie fiecare fost fără iar jurul la le li lor lui mai mea mei mele meu mi mie mine mult mulți mâine mă n ne nici
            niciodată noastre noastră noi nostru noștri nu o ori oricare pe pentru peste poate pot prea prin s sa sale sau se sub
            sunt suntem sunteți să său ta tale te toate toată tot toți trebuie tu tău un una unde unei unele unui unul vei voastră
            voi vom vor vrea vreau vă îi îl îmi în înainte încă între întâi își îți ăla ăsta ți ție""",
        "hu": """a ahogy ahol ahová aki akik akkor alatt alá alól ami amikor amit amíg annak arra az azok azon azonban azt aztán
            azzal azért be bele benne csak de eddig egy egyik el elő először előtt engem ennek ez ezek ezen ezt ezután ezért fel
            felé fog fölött ha hanem hogy hogyan hogyha hol honnan hova hová hozzá hány hányadik hányan hányszor hát igen ill
            illetve is itt jó kell kellene ki kik kinek kit kitől kié között közül különben le legyen lehet lenne lesz ma maga majd
            meddig meg mekkora mellett mellé mely melyik melyiket mennyi mennyibe mennyit mert mi miatt miből mikor milyen mind
            minden mindenki mint mit mitől mivel miért most már más mégis mögött nagyon ne nekem neki nekünk nem nincs néha nélkül
            nélküle olyan ott pedig pl rá róla saját se sem semmi semmit soha szeretem szereti szerint számára te tehát ti több túl
            tőle után utána vagy vagyok vagyunk valaki valami valamint valamit van vannak vele volna volt voltak által át én és így
            össze úgy újra ő ők""",
        "tr": """acaba altına altında ama ancak arasında artık asla aslında bana bazen bazı belki ben bende benden beni benim bile
            bir biri birkaç birçok biz bizde bize bizi bizim bu buna bunda bundan bunlar bunu bunun burada böyle da daha de değil
            diye diğer dolayı edilen en eğer fakat gerek gerekiyor gerekli gibi göre hala hangi hangisi hani hem hep hepsi her
            herkes hiç ile ilgili ise için içinde işte kadar karşı kaç kendi kendisi kez ki kim kimde kimden kime kimi kimin lazım
            mi misin miyim miyiz mu musun musunuz mü mı mısın mısınız mıyım mıyız nasıl ne neden nedir nerde nerede nereden nereli
            neresi nereye neye neyi neyin niye niçin o olacak olan olanı olanını olarak oldu olduğu olmak olmalı olması olsun olur
            ona ondan onlar onların onu onun orada oysa pek rağmen sadece sana sanki sayesinde sen senden seni senin siz size sizi
            sizin son sonra sonraki tarafından tekrar tüm var vardır ve veya ya yani yanında yapmak yapılan yerine yine yok yoksa
            zaman zaten çok çünkü önce önceki öyle üstünde üzere üzerinde üzerine şey şimdi şu şöyle""",
        "el": """ένα έναν ένας έτσι έχει έχεις έχουμε έχουν έχω ή ήδη ήταν ίσως αλλά αν ανά αντί απ από αυτά αυτές αυτή αυτοί αυτού
            αυτό αυτός για γιατί δε δεν εάν είμαι είμαστε είναι είσαι είστε είτε εγώ εδώ εκεί εκείνη εκείνο εκείνος εμάς εμείς ενώ
            επί επειδή εσείς εσύ η θα κάθε κάποια κάποιο κάποιος κάτι και κατά κι μέσα μέσω μέχρι μία μα μας με μετά μη μην μια μιας
            μου μπορεί μπορούμε μπορώ μόνο να ναι ο οι ούτε παρά ποιά ποια ποιες ποιο ποιοι ποιον ποιος ποιου ποιός ποτέ που πού
            πρέπει πριν προς πως πόσα πόσες πόση πόσο πόσοι πόσους πώς σαν σας σε σου στα στη στην στις στο στον στους συνήθως τί τα
            τη την της τι τις το τον του τους των τώρα χωρίς ως όλα όλες όλοι όμως όπου όπως όσο όταν ότι όχι""",
        "ru": """а без более больше был была были было быть в вам вас весь во вот все всегда всех вы где да для до его ее ей ему
            если есть еще же за здесь и из или им их к как какая какие какой какую ко когда кого которая которые который кто куда ли
            мне мной мое моего моей мой мою моя мы на нам нас наш наша наше наши не него нее нет ни но о об он она они оно от перед
            по под после потом почему при про с сколько со так также там тебя то тоже только ты у уже чего чем через что чтобы чья
            эта эти это этого этой этом этот я""",
        "uk": """а або адже але без би був буде будуть була були було бути в вам вас ваш ваша ваше вже ви вона вони воно все всі від
            він де десь для до дуже ж з за завжди зі й його йому ким ко кого коли кому котра котрий куди лише маю мають має маємо
            мене мені ми мого може можна можуть моя моє моєму моєї мої між мій на над нам нами нас наш наша наше нашого нашої не
            немає нею ним них ні ніж ніколи о один одна ось перед по потім при про просто під після саме свого своя своє свої свій
            себе скільки собі та так таке такий також там тебе теж ти тим тих то тобі того тоді той тому треба тут у хто це цей
            цього цьому ця ці цієї через чи чий чим чия чиї чого чому що щоб я як яка яке який яким яких якого якої якщо які є і із
            їй їм їх її""",
        "ar": """أحد أخرى أكثر ألا أم أما أن أنا أنت أنه أنها أو أي أيضا أين إذا إلا إلى إن إنه إنها الآن التي الذي الذين اللي بأن
            بعد بعض بل به بها بين تحت تكون تلك تم ثم جدا حتى حول حيث خلال دون ذلك سوف ضد عبر على عليه عليها عن عند عندما عنه عنها
            غير فإن فقط في فيه فيها قبل قد كان كانت كل كم كما كنت كيف لأن لا لدى لدي لدينا لديه لديها لذلك لقد لك لكن لم لماذا لن
            لنا له لها لهم لو لي ليس ليست ما ماذا متى مثل مع معه معها مما من منذ منه منها نحن نعم هؤلاء هذا هذه هل هم هنا هناك هو هي
            و وقد ولا ولكن ومن يا يتم يجب يكون يمكن""",
        "fa": """آن آنان آنجا آنها آیا ات از است اش ام اما او اگر ای ایشان این اینجا اینکه با باید بدون بر برای بسیار بعد به بود
            بودن بودند بوده بی بین تا تان تو توسط جز حتی خود خودش خیلی دارد دارم دارند داریم داشت داشتم داشته در درباره دو دیگر را
            روی زیرا سپس شان شد شدن شدند شده شما شود طی علیه فقط قبل ما مان مانند مثل من مورد مگر می نباید نزد نمی نه نیز نیست ها
            های هایی هر هرگز هست هستم هستند هستیم هم همان همه همیشه همین هنوز هیچ و وقتی ولی وی پس پیش چرا چقدر چند چه چون چگونه
            چیست کجا کدام کرد کردن کرده کس کسی کند کنم کنند کنیم که کی یا یک یکی""",
        "he": """אבל או אולי אותה אותו אותי אותך אותם אותנו אז אחד אחר אחרי אחת אי איזה איזו איך אילו אין איפה אך אל אלא אלה אלו אם
            אנו אנחנו אני אף אפשר אצל אשר את אתה אתם בה בהם בו בין בכל בלי בשביל גם דרך ה האם הוא הזאת הזה היא היה היו הייתה היתה הם
            הן הנה ו זאת זה זו חייב חייבים יהיה יותר יכול יכולה יכולים יש כאשר כבר כדי כי כך כל כמה כמו כן כש לא לאחר לאן לבין לה
            להיות להם לו לי לך לכל לכם ללא למה לנו לעולם לפי לפני מאוד מאז מה מול מי מכל ממש מן מתי נגד נו עד עוד עכשיו על עליה עליו
            עם פה צריך צריכה צריכים רק ש של שלה שלהם שלו שלי שלך שלכם שלנו שם תחת תמיד""",
        "hi": """अगर अपना अपनी अपने अब अभी आ आप आपका आपकी आपके आपको इन इनका इस इसका इसकी इसके इसे उन उनका उनकी उनके उन्हें उन्होंने
            उस उसका उसकी उसके उसने उसे एक एवं ऐसा ऐसे और कई कब कभी कम कर करता करती करते करना करने करें कहाँ कहां का कितना कितनी
            कितने किस किसका किसकी किसके किसको किसने किसी किसे की कुछ के केवल कैसा कैसी कैसे को कोई कौन कौनसा कौनसी क्या क्यों
            क्योंकि गई गए गया चाहिए जब जहाँ जा जाता जाती जाते जाना जाने जिन जिस जिसका जिसकी जिसके जिसे जी जैसा जैसे जो तक तथा तब तुम
            तुम्हारा तुम्हें तू तो था थी थीं थे दिया दो द्वारा न नहीं ना ने पर पहले पास फिर बस बहुत बाद बारे बिना बीच भी मगर मुझे
            में मेरा मेरी मेरे मैं मैंने यदि यह यहाँ यही या ये रहा रही रहे लिए लेकिन व वह वहाँ वही वाला वाली वाले वे वो सकता सकती
            सकते सब सभी साथ से हम हमने हमारा हमारी हमारे हमें हर ही हुआ हुई हुए हूँ हूं है हैं हो होगा होगी होता होती होते होना होने""",
        "id": """ada adakah adalah agar akan aku anda antara apa apabila apakah atas atau bagaimana bagi bahwa banyak baru bawah
            beberapa begitu belum berapa bersama bila bilang bisa boleh bolehkah bukan dalam dan dapat dari darimana daripada dengan
            di dia dimana hanya hari harus haruskah hingga ia ini itu jadi jangan jika juga kah kalau kami kamu kapan karena kata ke
            kemana kepada kita lagi lah lain lalu lebih maka mana masih mau melalui memang mengapa menjadi mereka milik mungkin
            nanti nya oleh pada para pernah pun saat saja sama sampai sana sangat saya sebagai sebelum seberapa sebuah secara sedang
            sejak selalu selama semua seorang seperti serta sesuatu setelah setiap siapa siapakah sini situ suatu sudah supaya tak
            tanpa tapi telah tentang terhadap tersebut tetap tetapi tidak untuk yaitu yang""",
        "vi": """ai anh bao bà bên bạn bằng bị bởi cho chúng chưa chỉ chị chứ càng các cái còn có cùng cũng cả cần của do dù em giữa
            gì hay hãy hơn họ khi khá không là làm lên lúc lại muốn mà mình mọi mỗi một mới như nhưng những nào này nên nó nơi nếu
            nữa phải qua quá ra rất rằng rồi sao sau sẽ theo thì thôi thế trong trên trước tôi tại tất từ từng việc và vào vì vẫn
            vậy về với xin xuống ông đang đi đâu đây đã đó được đấy đến đều để ấy ở""",
    }.items()
}
"""By ISO 639-1 codes."""
