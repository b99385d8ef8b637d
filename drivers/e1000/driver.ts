/** Driver for the Intel 82540EM gigabit Ethernet controller. Source: Intel manual 317453. */
import { defineDriver } from "airlock/driver";
import { net } from "airlock/driver/net";
import { Card } from "./card.ts";

export default defineDriver(net, async (context) => {
  const card = await Card.open(context);
  return {
    identify: () => card.identify(),
    configure: async (settings) => {
      await card.configure(settings);
      return {};
    },
    getLink: () => card.getLink(),
    statistics: () => card.statistics(),
  };
});
