package town

import "fmt"

var firstNames = []string{
	"Amara", "Bryn", "Ciara", "Dev", "Eilidh", "Farah", "Gethin", "Halima", "Idris", "Jolanta", "Kwame", "Lowri", "Mateusz",
	"Niamh", "Oluchi", "Priya", "Quentin", "Rhona", "Samir", "Tegan", "Umar", "Verity", "Winifred", "Xanthe", "Yusuf", "Zainab",
	"Anouk", "Barnaby", "Clementine", "Dougal", "Esme", "Fergus",
}

var familyNames = []string{
	"Abernethy", "Bhandari", "Cadwallader", "Dunleavy", "Ezekwe", "Fairclough", "Grzelak", "Hathersage", "Ibekwe", "Jellicoe",
	"Kowalczyk", "Lanyon", "Mukherjee", "Nettleship", "Okonjo", "Pemberley", "Qureshi", "Rosewarne", "Standish", "Trevanion",
	"Uddin", "Vasquez", "Wolstenholme", "Yardley", "Zielinski", "Ballantyne", "Coldstream", "Drummond", "Elphinstone", "Fotheringay",
}

var employers = []string{
	"Tamarside Foods Ltd", "Northgate Clinics", "Pellow and Sons Ltd", "Harrowmoor NHS Trust", "Quayside Robotics", "Fenwold District Council",
	"Linden Park Academy", "Copperhill Engineering", "Bluebell Care Group", "Westmarch University", "Ironbridge Logistics Ltd", "Saltwick Marine",
	"Otterburn Textiles", "Greyfriars Design LLP", "Mossdale Farms", "Kestrel Software Ltd", "Thornbury Hotels", "Carrick Print Works",
	"Wrenfield Council", "Skerryvore Energy Services",
}

var platforms = []string{"Pedalo Couriers", "Hopalong Rides", "Taskwren", "Dishdash Riders", "Parcelpuffin"}

var agents = []string{
	"Marlowe Lettings", "Hartsease Residential", "Tolpuddle Property Mgmt", "Keystone Lets", "Bramley Estates", "Orchard Homes",
	"Sandpiper Living", "Calder & Finch", "Rookwood Management", "Whitlow Tenancies",
}

var associations = []string{"Fenwold Housing Assoc", "Ridgeway Homes HA", "Wrenfield Council Housing", "Lantern Housing Trust"}

var lenders = []string{"Ashcombe Building Society", "Perrin Mutual", "Holmewood Bank Mortgages", "Stanmoor BS"}

// account returns a party with bank details.
func (c *chance) account(name string) Party {
	return Party{Name: name, SortCode: fmt.Sprintf("%02d%02d%02d", c.between(10, 89), c.between(0, 99), c.between(0, 99)), Number: fmt.Sprintf("%08d", c.between(10000000, 99999999))}
}

func (c *chance) person() string { return pick(c, firstNames) + " " + pick(c, familyNames) }

// initialled is how many people appear on a statement: "R Lanyon".
func initialled(full string) string {
	for i := range full {
		if full[i] == ' ' {
			return full[:1] + full[i:]
		}
	}
	return full
}

// shop is somewhere that takes cards.
type shop struct {
	name   string
	mcc    string
	spend  string // the truth: what sort of spending it is
	lo, hi int    // a usual visit, in pounds
}

var groceries = []shop{
	{"Pantry Lane", "5411", "groceries", 8, 62},
	{"Saveway Local", "5411", "groceries", 4, 38},
	{"Bellweather Foods", "5411", "groceries", 12, 85},
	{"Corner Larder", "5499", "groceries", 3, 18},
	{"Millers Yard Bakery", "5462", "groceries", 3, 12},
	{"Harbour Greens", "5411", "groceries", 9, 54},
}

var travel = []shop{
	{"Metrolark Tickets", "4111", "transport", 3, 14},
	{"Fenrail", "4112", "transport", 6, 48},
	{"Roadrunner Fuels", "5541", "transport", 20, 65},
	{"Citybus Wren", "4131", "transport", 2, 6},
	{"Parkwell", "7523", "transport", 2, 12},
	{"Ember Cabs", "4121", "transport", 7, 26},
}

var leisure = []shop{
	{"The Moss Cafe", "5812", "eating", 4, 19},
	{"Noodle Otter", "5814", "eating", 8, 28},
	{"Plough & Lantern", "5813", "eating", 6, 42},
	{"Silver Reel Cinema", "7832", "leisure", 8, 26},
	{"Crimson Kebab", "5814", "eating", 6, 17},
	{"Kickabout Five", "7941", "leisure", 6, 15},
	{"Foxglove Theatre", "7922", "leisure", 18, 70},
}

var shopping = []shop{
	{"Thimble & Co", "5651", "clothes", 12, 90},
	{"Hearth and Hook", "5712", "household", 15, 140},
	{"Clove Chemist", "5912", "personal", 3, 24},
	{"Barnacle Books", "5942", "leisure", 6, 32},
	{"Gadgetry Row", "5732", "shopping", 12, 220},
	{"Snip Salon", "7230", "personal", 12, 60},
	{"Bramble DIY", "5200", "household", 6, 85},
}

var betting = shop{"Lucky Heron Bets", "7995", "gambling", 5, 60}

// biller is somebody who takes money by direct debit.
type biller struct {
	name  string
	mcc   string
	spend string
}

var (
	energyFirms    = []biller{{"Larkspur Energy", "4900", "energy"}, {"Tidewatt Power", "4900", "energy"}, {"Gale Gas & Electric", "4900", "energy"}}
	waterFirms     = []biller{{"Severnside Water", "4900", "water"}, {"Chalkstream Water", "4900", "water"}}
	councils       = []biller{{"Fenwold DC Council Tax", "9311", "council_tax"}, {"Wrenfield Council Tax", "9311", "council_tax"}, {"Harrowmoor CC Ctax", "9311", "council_tax"}}
	broadbandFirms = []biller{{"Zephyr Broadband", "4899", "broadband"}, {"Hillwire Fibre", "4899", "broadband"}}
	mobileFirms    = []biller{{"Chirp Mobile", "4814", "phone"}, {"Talkative Tel", "4814", "phone"}}
	insurers       = []biller{{"Umbrella & Vale Insurance", "6300", "insurance"}, {"Safe Harbour Ins", "6300", "insurance"}}
	streamers      = []biller{{"Flickerbox", "4899", "subscription"}, {"Tunewell Music", "5815", "subscription"}, {"Pagecloud", "5818", "subscription"}}
	gyms           = []biller{{"Ironworks Gym", "7997", "gym"}, {"Splash Leisure Centre", "7997", "gym"}}
	carLenders     = []biller{{"Motorway Finance", "6012", "car_finance"}, {"Drivewell Credit", "6012", "car_finance"}}
	loanFirms      = []biller{{"Holmewood Loans", "6012", "loan"}, {"Bridgepoint Personal Loan", "6012", "loan"}}
	cardFirms      = []biller{{"Holmewood Credit Card", "6012", "credit_card"}, {"Perrin Card Services", "6012", "credit_card"}}
	bnplFirms      = []biller{{"Payslice", "6012", "bnpl"}, {"Threepart Pay", "6012", "bnpl"}}
	nurseries      = []biller{{"Acorns Day Nursery", "8351", "childcare"}, {"Little Wrens Childcare", "8351", "childcare"}}
	licensing      = biller{"TV Licence", "9399", "tv_licence"}
)
