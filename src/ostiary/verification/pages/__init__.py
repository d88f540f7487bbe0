"""The pages that links in mails open: minimal, in English and German, and without any script.

Opening one changes nothing and asks the database nothing, so mail scanners may follow links as often as they like. What
a link is for happens by POST, when somebody presses the page's button. The token travels from the query into a hidden
field; nobody but the holder of the link knows it, so a form of another site has nothing to post.
"""
