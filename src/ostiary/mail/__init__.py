"""Mail: what is said in it, in which language, and getting it out of the house whatever happens meanwhile.

A message is put into the outbox in the transaction of the act that it tells of (`outbox.enqueue`): no act without its
mail, no mail without its act. A worker inside the server delivers, off the path of any request. This slice knows no
users: it is given an address, a language and plain values.

    messages   what can be said              languages  in which language
    rendering  words from templates          composing  a letter of the words
    outbox     what waits, and who has it    worker     takes, renders, hands over, and what happens if that fails
    transport  how a letter may fare         delivery   hands it to a mail server
    limits     how often one may ask         drop       writes it to a file, for development

States of a mail: waiting → taken (for a few minutes) → gone, or → waiting again, later, or → given up.
"""
