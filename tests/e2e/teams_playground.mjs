// A person at the Microsoft 365 Agents Playground: sends a recording to the app and looks at the answers.
// Argument: JSON with puppeteer, browser, profile, url, attachment and pictures. Writes a JSON line for
// each step when it is done. Ends, with its browser, when its standard input does.

const given = JSON.parse(process.argv[2]);
const { default: puppeteer } = await import(given.puppeteer);

process.stdin.on("close", () => process.exit(1)).resume(); // the launcher ends its browser then
const browser = await puppeteer.launch({
  executablePath: given.browser,
  pipe: true, // which ends the browser where this process is killed
  userDataDir: given.profile,
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
  defaultViewport: { width: 1400, height: 1700 },
});
const page = await browser.newPage();
page.setDefaultTimeout(60_000);

const say = (step, more = {}) => console.log(JSON.stringify({ step, ...more }));
say("browser", { pid: browser.process().pid, shown: "" });
const shown = () => page.evaluate(() => document.body.innerText);
const until = (...texts) =>
  page.waitForFunction((all) => all.every((text) => document.body.innerText.includes(text)), {}, texts);
const button = (name) => page.locator(`::-p-aria([name="${name}"][role="button"])`);
const picture = (name) => page.screenshot({ path: `${given.pictures}/playground-${name}.png` });

try {
  await page.goto(given.url, { waitUntil: "domcontentloaded" });
  await until("Send me an audio or video file");
  await picture("welcome");
  say("welcome", { shown: await shown() });

  await page.locator('[role="textbox"][contenteditable="true"]').click();
  await page.keyboard.type("status");
  await button("Send Message").click();
  await until("Nothing is being transcribed");
  say("status", { shown: await shown() });

  // The Playground uploads no files. What Teams tells an app of an uploaded one is sent as it stands.
  const template = page.waitForResponse((answer) => answer.url().includes("/customActivities/template"));
  await button("Mock an Activity").click();
  await page.locator('::-p-aria([name="Custom activity"][role="menuitem"])').click();
  const activity = { ...(await (await template).json()), type: "message", attachments: [given.attachment] };
  delete activity.name;
  await page.locator(".monaco-editor textarea").wait();
  await page.locator(".monaco-editor .view-lines").click();
  await page.keyboard.down("Control");
  await page.keyboard.press("KeyA");
  await page.keyboard.up("Control");
  await page.$eval(
    ".monaco-editor textarea",
    (editor, text) => {
      const clipboardData = new DataTransfer();  // typing would close brackets by itself
      clipboardData.setData("text/plain", text);
      editor.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
    },
    JSON.stringify(activity, null, 2),
  );
  await picture("sending");
  await button("Send activity").click();
  await until("Transcribing", given.attachment.name, "Fetching");
  await picture("progress");
  say("progress", { shown: await shown() });

  await until("Name the speakers", "Show the whole transcript");
  await picture("transcript");
  say("transcript", { shown: await shown() });

  await button("Show the whole transcript").click();
  await until("Overview");
  await picture("page");
  say("page", { shown: await shown() });

  await button("Overview").click();
  await until("Name the speakers", "Show the whole transcript");
  await picture("overview");
  say("overview", { shown: await shown() });
} catch (error) {
  await picture("trouble");
  say("trouble", { error: String(error), shown: await shown() });
  process.exitCode = 1;
} finally {
  await browser.close();
  process.stdin.removeAllListeners("close").destroy();
}
